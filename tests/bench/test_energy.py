import pytest
from msgspec.structs import replace

from bench.energy import energy
from bench.record import Energy
from devices.device import Idle, Meter, Meters, Spent, Usage
from tests.bench.records import make_record

SECOND = 1_000_000_000


def usage(seconds):
    return Usage(wall_ns=int(seconds * SECOND), cpu_ns=0, involuntary=0)


def record(*spent, idle=None, seconds=1.0, unreadable=(), batch=1):
    meters = Meters(
        meters=(Meter(name="RAPL package-0", covers="package", definition="a counter"),),
        unreadable=unreadable,
    )
    rounds = tuple(Spent(joules=(joules,), invocations=runs) for joules, runs in spent)
    base = make_record(rounds=((1,),) * len(spent))
    return replace(
        base,
        settings=replace(base.settings, batch=batch),
        usage=(usage(seconds),) * len(spent),
        energy=Energy(sensors=meters, rounds=rounds, idle=idle),
    )


def test_an_inference_takes_the_joules_of_all_rounds_by_all_inferences():
    (found,) = energy(record((10.0, 100), (30.0, 100), batch=2))
    assert found.per_inference == 0.1
    assert found.watts == 20
    assert (found.name, found.covers) == ("RAPL package-0", "package")
    assert found.idle_watts is found.above_idle is None


def test_idle_power_is_reported_beside_it_and_left_out_apart():
    (found,) = energy(record((20.0, 10), idle=Idle(joules=(2.5,), wall_ns=SECOND // 2)))
    assert found.idle_watts == 5
    assert found.per_inference == 2
    assert found.above_idle == pytest.approx(1.5)


def test_a_round_that_the_sensor_missed_counts_for_nothing():
    (found,) = energy(record((10.0, 100), (None, 100)))
    assert (found.per_inference, found.watts) == (0.1, 10)


def test_a_sensor_that_never_told_anything_has_no_figure():
    assert energy(record((None, 100), idle=Idle(joules=(None,), wall_ns=SECOND))) == ()


def test_without_a_sensor_there_is_none():
    assert energy(make_record()) == ()
