"""``bench run`` of a server: what ends up in the record, and how it ends."""

from pathlib import Path

import pytest

from tests.bench.test_cli_run import QUICK, assert_measured, bench_run, records
from tests.devices.servers import odd, serving
from tests.hosts.requirements import unmet
from tests.tiny import tiny_onnx

pytest.importorskip("tritonclient.http", reason="the extra 'cloud' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'cloud' is not installed")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tiny_onnx(tmp_path / "artifacts")
    return tmp_path


def test_a_server_is_measured_like_any_device(place: Path) -> None:
    with serving(place / "artifacts/tiny/onnx-fp32") as (url, _):
        code, out, _ = bench_run(place, "--device", f"cloud:{url}", *QUICK)
    assert_measured(place, code)
    (record,) = records(place)
    assert record.cloud is not None
    assert record.cloud.link is None
    assert record.proof.verified
    assert len(record.cloud.stages) == len(record.rounds)
    assert [len(s.encode) for s in record.cloud.stages] == [len(r) for r in record.rounds]
    assert "Requests" in out


@pytest.mark.hosts
@pytest.mark.skipif(bool(unmet()), reason=unmet())
def test_the_link_is_part_of_what_was_measured(place: Path) -> None:
    links = ("--network", "down=50,up=50,rtt=30")
    with serving(place / "artifacts/tiny/onnx-fp32") as (url, _):
        bench_run(place, "--device", f"cloud:{url}", *links, *QUICK)
    (record,) = records(place)
    assert record.cloud is not None
    assert record.cloud.link is not None
    assert record.cloud.link.rtt_ms == 30
    assert "network down=50,up=50,rtt=30" in record.key
    assert min(ns for some in record.rounds for ns in some) >= 30e6


def test_wrong_numbers_fail(place: Path) -> None:
    with odd() as server:
        server.factor = -1.0
        code, _, _ = bench_run(place, "--device", f"cloud:{server.url}", *QUICK)
    assert code == 1
    (record,) = records(place)
    assert record.failure is not None
    assert record.failure.cause == "wrong-answer"
    assert record.rounds == ()


def test_a_server_that_is_not_there_is_told_at_once(place: Path) -> None:
    code, _, err = bench_run(place, "--device", "cloud:http://127.0.0.1:9", *QUICK)
    assert code == 3
    assert "cannot be reached" in err


def test_a_link_needs_a_server(place: Path) -> None:
    code, _, err = bench_run(place, "--network", "4g", *QUICK)
    assert code == 2
    assert "add --device cloud:" in err
