from msgspec.structs import replace

from bench.record import Surroundings
from bench.report.clocks import clocks, timings
from bench.rows import rows
from bench.verdict import verdict
from devices.device import Sensors, Usage
from tests.bench import factory

ROUND_NS = 100_000_000


def gpu_record(lowered_us=0, reasons=0x4):
    """Return a record of 20 rounds of 0.1 s in which the clock was lowered for so long."""
    before = Sensors(
        frequency_mhz=1980, temperature_c=40, power_w=120, throttle_reasons=1, throttled_us=500
    )
    after = Sensors(
        frequency_mhz=1755,
        temperature_c=64,
        power_w=690,
        throttle_reasons=reasons,
        throttled_us=500 + lowered_us,
    )
    usage = Usage(wall_ns=ROUND_NS, cpu_ns=ROUND_NS, waited_ns=0, involuntary=0)
    return replace(
        factory.record(spread=0.001),
        surroundings=Surroundings(before=before, after=after),
        usage=(usage,) * 20,
    )


def test_clock_temperature_power_and_the_reason_are_told():
    (line,) = clocks([gpu_record()])
    assert "1980 and 1755 MHz, 40 and 64 °C, 120 and 690 W, clock lowered by: power cap" in line
    assert "not set" in line


def test_an_idle_gpu_is_not_lowered():
    (line,) = clocks([gpu_record(reasons=0x1)])
    assert "clock lowered by: nothing" in line


def test_reasons_that_are_not_told_are_not_none():
    (line,) = clocks([gpu_record(reasons=None)])
    assert "what lowers the clock is not told" in line


def test_a_device_without_such_sensors_has_no_line():
    assert list(clocks([factory.record()])) == []


def test_a_gpu_whose_clock_was_lowered_for_longer_than_the_precision_is_throttled():
    share = 0.02 * 20 * ROUND_NS / 1000
    assert verdict(gpu_record(lowered_us=int(share))).word == "valid"
    found = verdict(gpu_record(lowered_us=2 * int(share)))
    assert found.word == "throttled"
    assert "lowered the GPU's clock for 80.0 ms (40 °C before, 64 °C after)" in found.evidence


def test_a_runtime_with_a_clock_of_its_own_names_it_once():
    settings = replace(factory.record().settings, runtime="torch-cuda", timing="CUDA events")
    two = [replace(factory.record(), settings=settings)] * 2
    assert list(timings(rows([*two, factory.record()]))) == ["torch-cuda is timed by: CUDA events"]
