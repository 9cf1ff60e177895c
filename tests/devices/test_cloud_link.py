"""Servers behind a shaped link: HTTP and gRPC, both with TLS, whose handshakes cross it as well."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from devices.cloud import CloudDevice, Settings
from devices.cloud_session import CloudSession
from devices.device import Job, WorkerError
from devices.network import Profile
from tests.devices.servers import Certificate, by_grpc, certificate, odd, serving
from tests.devices.test_cloud import expect_the_logits
from tests.hosts.requirements import unmet

pytest.importorskip("tritonclient.http", reason="the extra 'cloud' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'cloud' is not installed")

pytestmark = [pytest.mark.hosts, pytest.mark.skipif(bool(unmet()), reason=unmet())]
needs_grpc = pytest.mark.skipif(find_spec("grpc") is None, reason="grpcio is not installed")
ROUND_TRIP_NS = 40_000_000
LINK = Profile("link", 50, 50, ROUND_TRIP_NS / 1e6)


def session(url: str, artifact: Path, tls: Certificate | None = None) -> CloudSession:
    settings = Settings(url=url, model="tiny-onnx-fp32", ca=str(tls.cert) if tls else None)
    return opened(url, artifact, settings)


def opened(url: str, artifact: Path, settings: Settings) -> CloudSession:
    device = CloudDevice("server", settings, LINK)
    return device.open(Job(artifact=artifact, runtime="open-inference", timeout_s=20.0))


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Certificate]:
    return certificate(tmp_path)


def expect_it_works(found: CloudSession, *, handshakes: int) -> None:
    """Every request takes the round trip; so do the connection's handshakes, before the first."""
    expect_the_logits(found)
    assert min(found.measure(3)) >= ROUND_TRIP_NS
    questions = 3  # what is it, the model, its statistics
    assert found.ready.load_ns >= (handshakes + questions) * ROUND_TRIP_NS
    found.close()


def test_http(onnx: Path) -> None:
    with serving(onnx) as (url, _):
        expect_it_works(session(url, onnx), handshakes=1)


def test_https_shakes_hands_over_the_link(onnx: Path, tls: Certificate) -> None:
    with serving(onnx, "--cert", tls.cert, "--key", tls.key) as (url, _):
        expect_it_works(session(url, onnx, tls), handshakes=2)


def test_https_checks_the_servers_own_name_over_the_link(onnx: Path, tmp_path: Path) -> None:
    other = certificate(tmp_path, "DNS:elsewhere.example")
    answering = serving(onnx, "--cert", other.cert, "--key", other.key)
    with answering as (url, _), pytest.raises(WorkerError, match="TLS failed"):
        session(url, onnx, other)


@needs_grpc
def test_grpc(onnx: Path) -> None:
    with by_grpc() as url:
        expect_it_works(opened(url, onnx, Settings(url=url)), handshakes=1)


@needs_grpc
def test_grpc_with_tls_shakes_hands_over_the_link(onnx: Path, tls: Certificate) -> None:
    with by_grpc(tls) as url:
        expect_it_works(opened(url, onnx, Settings(url=url, ca=str(tls.cert))), handshakes=2)


def test_a_server_that_leaves_behind_a_link_is_the_links_fault(onnx: Path) -> None:
    with odd() as server:
        found = opened(server.url, onnx, Settings(url=server.url))
        server.vanish()
        with pytest.raises(WorkerError) as caught:
            found.measure(1)
    assert caught.value.cause == "transport"
