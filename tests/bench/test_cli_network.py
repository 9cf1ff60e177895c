"""``bench run`` of a server: what ends up in the record, and how it ends."""

import json
import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from devices.network import SWEEP_MBIT, SWEEP_RTT_MS
from tests.bench.test_cli_run import QUICK, assert_measured, bench_run, records
from tests.conftest import Cli
from tests.devices.servers import Odd, odd, serving
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


@pytest.mark.slow
@pytest.mark.hosts
@pytest.mark.skipif(bool(unmet()), reason=unmet())
def test_a_sweep_is_a_grid_that_tradeoff_weighs(place: Path, cli: Cli) -> None:
    brief = ("--max-seconds", "0.3", "--processes", "1")
    bench_run(place, *brief)
    with serving(place / "artifacts/tiny/onnx-fp32") as (url, _):
        _, _, err = bench_run(place, "--device", f"cloud:{url}", "--network", "sweep", *brief)
    forecast = re.search(r"9 links x 1 artifact: (\d+) s at most", err)
    assert forecast
    here, *there = records(place)
    links = [r.cloud.link for r in there if r.cloud and r.cloud.link]
    assert {(link.rtt_ms, link.up_mbit) for link in links} == {
        (rtt, mbit) for rtt in SWEEP_RTT_MS for mbit in SWEEP_MBIT
    }
    for record, link in zip(there, links, strict=True):
        assert record.proof.verified
        assert min(ns for some in record.rounds for ns in some) >= link.rtt_ms * 1e6
    weighed = cli("bench", "tradeoff", "--json", cwd=place)
    (task,) = json.loads(weighed.stdout)["tasks"]
    assert {s["network"] for s in task["situations"]} == {link.name for link in links}
    (model,) = task["models"]
    assert len(model["checks"]) == 9
    assert model["fitted"]
    assert model["round_trips"] >= 1
    (turn,) = task["crossovers"]
    assert turn["edge"] == f"tiny/onnx-fp32 on {here.device.name}"


def test_wrong_numbers_fail(place: Path) -> None:
    with odd() as server:
        server.factor = -1.0
        code, _, _ = bench_run(place, "--device", f"cloud:{server.url}", *QUICK)
    assert code == 1
    (record,) = records(place)
    assert record.failure is not None
    assert record.failure.cause == "wrong-answer"
    assert record.rounds == ()


def sending(payload: str, place: Path, url: str) -> tuple[str, ...]:
    """Write a devices.toml for a server that is sent images; return the arguments that name it."""
    entry = f'[devices.app]\nkind = "cloud"\nurl = "{url}"\nmodel = "tiny"\npayload = "{payload}"\n'
    (place / "devices.toml").write_text(entry)
    return "--device", "app", *QUICK


@pytest.mark.parametrize("payload", ["jpeg", "png"])
def test_images_are_proved_by_their_class(place: Path, payload: str) -> None:
    with odd() as server:
        server.seen = 1.0
        code, out, _ = bench_run(place, *sending(payload, place, server.url))
    assert_measured(place, code)
    (record,) = records(place)
    assert record.proof.verified
    assert record.cloud is not None
    assert record.cloud.payload == payload
    told = f"as {payload}: {record.cloud.images_agreed} of {record.cloud.images_decided} golden"
    assert told in " ".join(out.split())
    assert ("a JPEG loses detail" in out) == (payload == "jpeg")


def test_an_image_that_is_taken_for_something_else_fails(place: Path) -> None:
    with odd() as server:
        server.seen = -1.0
        code, _, err = bench_run(place, *sending("jpeg", place, server.url))
    assert code == 1
    assert "sent as jpeg, 0 of" in err
    assert "PSNR" not in err
    (record,) = records(place)
    assert record.failure is not None
    assert record.failure.cause == "wrong-answer"


def test_wrong_numbers_after_a_good_proof_fail(place: Path) -> None:
    with odd() as server:
        server.at = lambda it: setattr(it, "factor", -1.0) if it.inferences == 40 else None
        code, _, err = bench_run(place, "--device", f"cloud:{server.url}", *QUICK)
    assert code == 1
    assert "right at first, and wrong once it was timed" in err


def test_a_server_that_starts_anew_is_measured_to_the_end(place: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(odd())

        def anew(it: Odd) -> None:
            if it.inferences == 40:
                it.vanish()
                stack.enter_context(odd(it.server_address[1]))

        server.at = anew
        code, _, err = bench_run(place, "--device", f"cloud:{server.url}", *QUICK)
    assert_measured(place, code)
    assert len(records(place)) == 1
    assert "trying again in 1 s" in err


def test_a_server_that_is_not_there_is_told_at_once(place: Path) -> None:
    code, _, err = bench_run(place, "--device", "cloud:http://127.0.0.1:9", *QUICK)
    assert code == 3
    assert "cannot be reached" in err


def test_a_link_needs_a_server(place: Path) -> None:
    code, _, err = bench_run(place, "--network", "4g", *QUICK)
    assert code == 2
    assert "add --device cloud:" in err
