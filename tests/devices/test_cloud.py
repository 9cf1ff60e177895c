"""A server as a device: what is measured of one that works, what is said of one that does not."""

import re
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from devices import picture
from devices.address import address
from devices.cli_serve import serve
from devices.cloud import CloudDevice, Payload, Settings, named
from devices.cloud_session import CloudSession
from devices.device import ConfigError, DeviceError, Job, TransportError, WorkerError
from tests import tiny
from tests.devices.servers import Odd, by_grpc, certificate, odd, serving

pytest.importorskip("tritonclient.http", reason="the extra 'cloud' is not installed")
pytest.importorskip("starlette", reason="the extra 'cloud' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'cloud' is not installed")

needs_grpc = pytest.mark.skipif(find_spec("grpc") is None, reason="grpcio is not installed")


@pytest.fixture(scope="module")
def ours(onnx: Path) -> Iterator[str]:
    with serving(onnx) as (url, _):
        yield url


@pytest.fixture
def theirs() -> Iterator[Odd]:
    with odd() as server:
        yield server


def session(url: str, artifact: Path, timeout_s: float = 20.0, **settings) -> CloudSession:
    device = CloudDevice("server", Settings(url=url, **settings))
    return device.open(Job(artifact=artifact, runtime="open-inference", timeout_s=timeout_s))


def failure(url: str, artifact: Path, timeout_s: float = 20.0, **settings) -> WorkerError:
    """Return the error, one line, of opening a model, proving it, or measuring it."""
    with pytest.raises(WorkerError) as caught:
        _used(url, artifact, timeout_s, **settings)
    assert "\n" not in caught.value.detail
    return caught.value


def _used(url: str, artifact: Path, timeout_s: float, **settings) -> None:
    opened = session(url, artifact, timeout_s, **settings)
    opened.verify()
    opened.measure(3)


def expect_the_logits(opened: CloudSession) -> None:
    found, right = opened.verify()["logits"], tiny.forward(tiny.images())
    np.testing.assert_allclose(found, right, atol=1e-4)


def test_a_server_proves_its_answers_and_tells_its_stages(ours: str, onnx: Path) -> None:
    opened = session(ours, onnx)
    expect_the_logits(opened)
    whole = opened.measure(5)
    assert opened.cloud
    (stages,) = opened.cloud.stages
    assert stages.queue is not None
    assert stages.compute is not None
    parts = zip(stages.encode, stages.upload_download, stages.queue, stages.compute, strict=True)
    assert [sum(some) for some in parts] == whole
    assert min(stages.compute) > 0
    opened.close()


def test_the_payload_is_counted(ours: str, onnx: Path) -> None:
    opened = session(ours, onnx)
    opened.measure(1)
    assert opened.cloud
    pixels, logits = 4 * 8 * 8, 4 * tiny.CLASSES
    assert pixels < opened.cloud.request_bytes < pixels + 400
    assert logits < opened.cloud.response_bytes < logits + 400
    opened.close()


@pytest.mark.parametrize("payload", ["jpeg", "png"])
def test_images_are_sent_as_an_app_would_and_judged_by_their_class(
    ours: str, onnx: Path, payload: Payload
) -> None:
    opened = session(ours, onnx, payload=payload)
    expect_the_logits(opened)  # by tensors: a JPEG is another input
    opened.measure(2)
    assert opened.cloud
    steps = {"mean": (0.5,), "std": (0.5,)}
    sent = len(picture.file(tiny.images()[0], "NCHW", steps, payload))
    assert sent < opened.cloud.request_bytes < sent + 400
    assert opened.cloud.images_decided
    assert opened.cloud.images_agreed == opened.cloud.images_decided
    assert min(opened.cloud.stages[0].encode) > 0
    opened.close()


def test_a_class_is_what_images_are_classified_by(ours: str, onnx: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", tiny.images())
    opened = session(ours, onnx, payload="png")
    seen = np.clip(np.round((tiny.images() + 1) * 127.5), 0, 255) / 127.5 - 1
    best = tiny.forward(seen.astype(np.float32)).argmax(axis=1).tolist()
    assert [first for (first,) in opened.predict(tmp_path / "images.npy", 1)] == best
    opened.close()


def test_a_server_that_takes_no_images_is_told(theirs: Odd, onnx: Path) -> None:
    found = failure(theirs.url, onnx, payload="jpeg")
    assert (found.stage, found.cause) == ("load", "missing-model")
    theirs.names = ("tiny", "tiny-image")
    told = failure(theirs.url, onnx, payload="jpeg").detail
    assert "'tiny-image' is another: it does not take one input of datatype BYTES" in told


def test_a_server_is_found_by_its_address() -> None:
    device = named("cloud:grpc://127.0.0.1:8001")
    assert device is not None
    assert device.where.protocol == "grpc"
    assert named("cpu") is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://host:8000", "http://host:8000"),
        ("https://host/base/", "https://host:443/base"),
        ("grpcs://host", "grpcs://host:8001"),
        ("host:9", "http://host:9"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_is_read(text: str, url: str) -> None:
    assert address(text).url == url


@pytest.mark.parametrize("text", ["ftp://host", "http://", "http://host:99999", "a b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write it as http://HOST:PORT"):
        address(text)


@needs_grpc
def test_grpc_counts_stages_by_tritons_statistics(onnx: Path) -> None:
    with by_grpc() as url:
        opened = session(url, onnx)
        expect_the_logits(opened)
        opened.measure(3)
        assert opened.cloud
        (stages,) = opened.cloud.stages
        assert (stages.queue, stages.compute) == ((1000,) * 3, (5000,) * 3)
        assert opened.cloud.request_bytes > 4 * 8 * 8
        opened.close()


@needs_grpc
def test_a_model_by_another_name_is_named_over_grpc(onnx: Path) -> None:
    with by_grpc() as url:
        told = failure(url, onnx, model="tinny").detail
    assert "no model 'tinny'; did you mean 'tiny'?" in told


def test_a_server_that_tells_no_stages_leaves_them_open(theirs: Odd, onnx: Path) -> None:
    opened = session(theirs.url, onnx)
    expect_the_logits(opened)
    opened.measure(2)
    assert opened.cloud
    (stages,) = opened.cloud.stages
    assert stages.queue is stages.compute is None
    opened.close()


def test_nobody_there() -> None:
    device = CloudDevice("server", Settings(url="http://127.0.0.1:9"))
    with pytest.raises(TransportError, match=r"cannot be reached.*devices serve"):
        device.info()


@needs_grpc
def test_nobody_there_over_grpc() -> None:
    device = CloudDevice("server", Settings(url="grpc://127.0.0.1:9"))
    with pytest.raises(TransportError, match="cannot be reached"):
        device.info()


def test_without_grpcio_it_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "tritonclient.grpc", raising=False)
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(DeviceError, match=r"needs grpcio; install it: pip install 'edgew.*cloud"):
        CloudDevice("server", Settings(url="grpc://127.0.0.1:9")).info()


def test_another_kind_of_server_is_told(theirs: Odd) -> None:
    theirs.text = "<html>Welcome</html>"
    with pytest.raises(DeviceError, match="does not speak the Open Inference Protocol"):
        CloudDevice("server", Settings(url=theirs.url)).info()


def test_a_wrong_model_name_gets_the_nearest(theirs: Odd, onnx: Path) -> None:
    found = failure(theirs.url, onnx, model="tinny")
    assert (found.stage, found.cause) == ("load", "missing-model")
    assert "no model 'tinny'; did you mean 'tiny'?; there is: tiny" in found.detail


def test_another_shape_is_refused(theirs: Odd, onnx: Path) -> None:
    theirs.model = {
        **theirs.model,
        "inputs": [{**theirs.model["inputs"][0], "shape": [1, 3, 8, 8]}],
    }
    told = failure(theirs.url, onnx).detail
    assert "input 'image' is [1, 3, 8, 8], not [1, 1, 8, 8]" in told


def test_a_busy_server_is_asked_again(theirs: Odd, onnx: Path) -> None:
    opened = session(theirs.url, onnx)
    theirs.statuses.extend([429, 503])
    assert len(opened.measure(1)) == 1
    assert theirs.inferences == 1
    opened.close()


def test_a_server_that_stays_busy_is_told(theirs: Odd, onnx: Path) -> None:
    theirs.statuses.extend([503] * 50)
    found = failure(theirs.url, onnx)
    assert found.cause == "busy"
    assert "has too much to do (503)" in found.detail
    assert "asked 5 times" in found.detail


@pytest.mark.parametrize(
    ("status", "told"),
    [(502, "cannot be reached behind its gateway (502)"), (500, "answers 500")],
)
def test_a_proxys_page_is_not_quoted(theirs: Odd, onnx: Path, status: int, told: str) -> None:
    theirs.refusal = b"<html><h1>Bad Gateway</h1></html>"
    theirs.statuses.append(status)
    found = failure(theirs.url, onnx).detail
    assert f"{told}: no word of why" in found


@pytest.mark.parametrize(("status", "cause"), [(401, "unauthorised"), (403, "unauthorised")])
def test_a_refusal_names_the_remedy(theirs: Odd, onnx: Path, status: int, cause: str) -> None:
    theirs.statuses.append(status)
    found = failure(theirs.url, onnx)
    assert found.cause == cause
    assert "token_env" in found.detail


def test_a_fault_of_the_server_is_told(theirs: Odd, onnx: Path) -> None:
    theirs.statuses.append(500)
    assert "answers 500: as the test wants it" in failure(theirs.url, onnx).detail


def test_an_answer_that_is_cut_off_is_the_links_fault(theirs: Odd, onnx: Path) -> None:
    theirs.cut = True
    assert failure(theirs.url, onnx).cause == "transport"


def test_a_page_in_place_of_an_answer_is_told_at_once_and_is_not_the_links_fault(
    theirs: Odd, onnx: Path
) -> None:
    theirs.refusal = b"<html>Please log in</html>"
    theirs.statuses.extend([200] * 50)
    found = failure(theirs.url, onnx)
    assert found.cause != "transport"
    assert "no answer of the Open Inference Protocol" in found.detail
    assert len(theirs.statuses) == 49


def test_a_server_that_hangs_and_answers_else_is_no_broken_link(theirs: Odd, onnx: Path) -> None:
    theirs.slow_s = 5
    found = failure(theirs.url, onnx, timeout_s=0.3)
    assert found.cause == "hung"
    assert "did not answer in time (0.3 s), but answers what else it is asked" in found.detail


def test_a_server_that_hangs_in_all_is_the_links_fault(theirs: Odd, onnx: Path) -> None:
    def hang(server: Odd) -> None:
        server.vanish()
        time.sleep(5)

    theirs.at = hang
    assert failure(theirs.url, onnx, timeout_s=0.3).cause == "transport"


def test_a_server_that_is_gone_is_the_links_fault(theirs: Odd, onnx: Path) -> None:
    opened = session(theirs.url, onnx)
    theirs.at = Odd.vanish
    with pytest.raises(WorkerError) as caught:
        opened.measure(3)
    assert caught.value.cause == "transport"


@needs_grpc
def test_a_server_that_is_gone_is_the_links_fault_over_grpc_too(onnx: Path) -> None:
    with by_grpc() as url:
        opened = session(url, onnx)
        opened.measure(1)
    with pytest.raises(WorkerError) as caught:
        opened.measure(1)
    assert caught.value.cause == "transport"
    opened.close()


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(theirs: Odd, onnx: Path) -> None:
    opened = session(theirs.url, onnx)
    theirs.statuses.append(503)
    theirs.retry_after = "1"
    begin = time.monotonic()
    opened.measure(1)
    assert time.monotonic() - begin >= 1
    opened.close()


@pytest.mark.parametrize("ask", ["3600", "Fri, 31 Dec 2199 23:59:59 GMT"])
def test_a_server_that_asks_for_more_patience_than_there_is(
    theirs: Odd, onnx: Path, ask: str
) -> None:
    theirs.statuses.extend([429] * 9)
    theirs.retry_after = ask
    found = failure(theirs.url, onnx)
    assert found.cause == "busy"
    assert "(asked once; it asks for " in found.detail
    assert len(theirs.statuses) == 8


def test_another_shape_after_a_good_proof_is_told(theirs: Odd, onnx: Path) -> None:
    opened = session(theirs.url, onnx)
    expect_the_logits(opened)
    theirs.shape = (tiny.CLASSES, 1)
    with pytest.raises(WorkerError, match=r"output 'logits' has shape \[10, 1\]"):
        opened.measure(1)
    opened.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inputs": [{"name": "image"}]}, "missing required field `datatype`"),
        ({"outputs": 7}, "Expected `array`, got `int`"),
    ],
)
def test_a_description_that_is_none_is_refused(
    theirs: Odd, onnx: Path, change: dict[str, object], told: str
) -> None:
    theirs.model = {**theirs.model, **change}
    assert told in failure(theirs.url, onnx).detail


def test_a_token_is_asked_for_and_sent(onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_TOKEN", "right")
    with serving(onnx, "--token-env", "SERVER_TOKEN") as (url, _):
        expect_the_logits(session(url, onnx, token_env="SERVER_TOKEN"))
        monkeypatch.setenv("SERVER_TOKEN", "wrong")
        assert failure(url, onnx, token_env="SERVER_TOKEN").cause == "unauthorised"
        assert failure(url, onnx).cause == "unauthorised"


def test_tls_needs_a_certificate_that_is_trusted(onnx: Path, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with serving(onnx, "--cert", cert, "--key", key) as (url, _):
        expect_the_logits(session(url, onnx, ca=str(cert)))
        refused = failure(url, onnx)
        assert refused.cause == "transport"
        assert "TLS failed" in refused.detail


def test_trusted_certificates_that_are_none_are_named(
    onnx: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cert, key = certificate(tmp_path)
    with serving(onnx, "--cert", cert, "--key", key) as (url, _):
        for ca in (key, tmp_path / "none.pem"):
            assert f"{ca}" in failure(url, onnx, ca=str(ca)).detail
    assert "Traceback" not in capfd.readouterr().err


def test_a_certificate_that_is_no_match_for_its_key_is_refused_in_one_line(
    onnx: Path, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path)
    swapped = ["--port", "0", "--cert", str(key), "--key", str(cert)]
    artifact = f"{onnx.parent.name}/{onnx.name}"
    place = ["--artifacts-dir", str(onnx.parents[1])]
    result = CliRunner().invoke(serve, [artifact, *place, *swapped])
    assert isinstance(result.exception, ConfigError), result.output
    assert "not a certificate and its private key" in str(result.exception)


def test_a_body_limit_is_a_number() -> None:
    result = CliRunner().invoke(serve, ["any", "--body-limit", "nan"])
    assert result.exit_code == 2
    assert "nan is no number" in result.output


@pytest.mark.parametrize(
    ("name", "told"),
    [("gpu:9", "no (NVIDIA )?GPU"), ("arm64-exact", "not this machine's: serve on cpu or gpu")],
)
def test_only_what_this_machine_has_computes_for_others(name: str, told: str) -> None:
    result = CliRunner().invoke(serve, ["any", "--device", name])
    assert isinstance(result.exception, DeviceError)
    assert re.search(told, str(result.exception))


@needs_grpc
def test_tls_over_grpc_needs_one_too(onnx: Path, tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    with by_grpc(tls) as url:
        expect_the_logits(session(url, onnx, ca=str(tls.cert)))
        assert "TLS failed" in failure(url, onnx).detail


def test_a_certificate_of_another_name_is_refused(onnx: Path, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "DNS:elsewhere.example")
    with serving(onnx, "--cert", cert, "--key", key) as (url, _):
        assert "TLS failed" in failure(url, onnx, ca=str(cert)).detail


def test_a_large_request_is_refused(onnx: Path) -> None:
    with serving(onnx, "--body-limit", "0.0001") as (url, _):
        assert "larger than 100 bytes" in failure(url, onnx).detail


def test_a_server_answers_plain_json(ours: str) -> None:
    body = (
        b'{"id": "7", "inputs": [{"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", '
        b'"data": [' + b", ".join([b"0"] * 64) + b"]}]}"
    )
    model = "tiny-onnx-fp32"
    with urllib.request.urlopen(f"{ours}/v2/models/{model}/infer", body) as answer:  # POST
        text = answer.read().decode()
    assert '"id":"7"' in text
    assert '"shape":[1,10]' in text


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready"])
def test_a_server_tells_of_itself(ours: str, path: str) -> None:
    with urllib.request.urlopen(f"{ours}{path}") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_server_ends_when_it_is_asked_to(onnx: Path, number: int, code: int) -> None:
    with serving(onnx) as (_, process):
        process.send_signal(number)
        assert process.wait(15) == code
        assert process.stderr
        assert "Traceback" not in process.stderr.read()
