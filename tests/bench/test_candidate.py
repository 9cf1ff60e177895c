"""What one way to run a network costs, from its record."""

import pytest
from msgspec.structs import replace

from bench.candidate import Terms, arithmetic, candidates
from bench.record import EndToEnd, Throughput
from devices.device import Served
from export.artifact import Proof
from tests.bench.clouds import clouded, link
from tests.bench.factory import MS, manifest, record, rounds, unproved


def one(found):
    (candidate,) = candidates([found])
    return candidate


def test_on_the_device_a_network_takes_its_size_and_memory_and_no_data():
    found = one(record(manifest("net", size=4_000_000), 10.0, top1=0.9))
    assert (found.size_bytes, found.memory_bytes, found.data_bytes) == (4_000_000, 50_000_000, 0)
    assert (found.where, found.offline, found.private) == ("edge", True, True)
    assert found.name == "net/tflite-fp32 on cpu"


def test_in_the_cloud_it_takes_data_and_nothing_on_the_device():
    found = one(clouded(manifest("net", size=4_000_000), link("4g")))
    assert (found.size_bytes, found.memory_bytes, found.data_bytes) == (0, 0, 101_000)
    assert (found.where, found.offline, found.private) == ("cloud", False, False)
    assert found.name == "net/tflite-fp32 by server over 4g"


def test_settings_are_named_only_where_there_are_several():
    names = [c.name for c in candidates([record(threads=1), record(threads=2)])]
    assert names == [
        "net/tflite-fp32 on cpu, onnxruntime, 1 thread",
        "net/tflite-fp32 on cpu, onnxruntime, 2 threads",
    ]


def test_end_to_end_are_the_runs_with_copies_where_there_are_any():
    copies = EndToEnd(definition="set_tensor", rounds=rounds(12.0))
    found = one(replace(record(None, 10.0), end_to_end=copies))
    assert found.p50_ns == pytest.approx(12 * MS, rel=0.02)
    assert "handed over" in found.timing


def test_a_request_is_split_as_the_server_tells():
    found = one(clouded(None, link(), encode=1, queue=2, compute=3))
    assert found.stages is not None
    assert found.stages.work_ns == 6 * MS
    silent = one(clouded(None, link(), told=False))
    assert silent.stages is not None
    assert silent.stages.compute_ns is None
    assert silent.server_per_s is None


def test_data_and_server_have_the_user_s_prices_or_none():
    found = one(clouded(None, link(), compute=4.0))
    prices = Terms(per_day=1000, price_per_gb=2.0, server_price_per_hour=3.6)
    assert found.data_price(prices) == pytest.approx(6.06)
    # 4 ms each: a million takes 4000 s of a server at 0.001 a second.
    assert found.server_price_per_million(prices) == pytest.approx(4.0)
    assert found.server_estimated
    assert found.data_price(Terms()) is None
    assert found.server_price_per_million(Terms()) is None
    assert one(record()).server_price_per_million(prices) == 0


def test_a_throughput_that_was_measured_is_what_a_server_does():
    base = clouded(None, link(), compute=4.0)
    streams = replace(
        base,
        settings=replace(base.settings, streams=4),
        throughput=Throughput(
            definition="four", rounds=(Served(invocations=1000, wall_ns=1_000_000_000),) * 20
        ),
    )
    (found,) = candidates([base, streams])
    assert found.server_per_s == pytest.approx(1000)
    assert not found.server_estimated


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"emulated": True}, "emulated"),
        ({"proof": unproved()}, "unproved"),
        ({"proof": Proof(verified=False, reason="PSNR 3 dB")}, "wrong"),
        ({"counts": "instructions"}, "it counts instructions"),
    ],
)
def test_what_cannot_be_used_says_why(changed, why):
    found = one(record(**changed))
    assert found.unusable is not None
    assert found.unusable.startswith(why)


def test_a_count_of_instructions_is_no_latency():
    found = one(record(counts="instructions"))
    assert (found.p50_ns, found.low_ns, found.p90_ns) == (None, None, None)


def test_arithmetic_is_estimated_by_the_format_that_a_mac_is_in():
    # Horowitz 2014, figure 1.1.9: 3.7 + 0.9 pJ in float32, 0.2 + 0.1 in int8.
    assert arithmetic(1_000_000, "fp32") == pytest.approx(4.6e-6)
    assert arithmetic(1_000_000, "int8") == pytest.approx(0.3e-6)
    assert arithmetic(1_000_000, "int8-weights") is None
