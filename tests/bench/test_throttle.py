import numpy as np
import pytest

from bench.record import Sustained
from bench.report.endurance import spark
from bench.throttle import changes, endurance, throttle_point
from tests.bench.series import autoregressive


def noisy(levels, noise=0.01, seed=0):
    return np.asarray(levels) * (
        1 + noise * np.random.default_rng(seed).standard_normal(len(levels))
    )


def steps(*parts):
    """Return a series from (level, count) pairs."""
    return np.concatenate([np.full(count, float(level)) for level, count in parts])


def run(values, every_s=1.0, temperatures_c=(), lost=()):
    return Sustained(
        seconds=len(values) * every_s,
        times_s=tuple(every_s * i for i in range(len(values))),
        medians_ns=tuple(int(v) for v in values),
        temperatures_c=temperatures_c,
        lost=lost,
    )


def test_every_change_of_level_is_found_where_it_is():
    found = changes(noisy(steps((100, 60), (130, 80), (115, 60))))
    assert len(found) == 2
    assert abs(found[0] - 60) <= 1
    assert abs(found[1] - 140) <= 1


def test_noise_has_few_changes_and_no_throttle_point():
    series = [noisy(np.full(120, 100.0), seed=s) for s in range(200)]
    assert np.mean([bool(changes(s)) for s in series]) <= 0.03
    assert not any(throttle_point(s) for s in series)


def test_neighbours_that_resemble_each_other_are_no_throttling():
    found = [throttle_point(autoregressive(120, 0.6, spread=0.01, seed=s)) for s in range(100)]
    assert found.count(None) >= 99


def test_the_throttle_point_is_the_first_change_that_lasts():
    hiccup = noisy(steps((100, 40), (140, 10), (100, 50), (125, 100)))
    assert abs(throttle_point(hiccup) - 100) <= 2


def test_a_slow_decline_is_found_as_well():
    ramp = np.concatenate([np.full(60, 100.0), np.linspace(100, 130, 60), np.full(60, 130.0)])
    assert 60 <= throttle_point(noisy(ramp)) <= 120


@pytest.mark.parametrize("last", [90, 103])
def test_faster_or_hardly_slower_is_no_throttling(last):
    assert throttle_point(noisy(steps((100, 60), (last, 120)), noise=0.002)) is None


def test_burst_and_steady_are_told_apart():
    found = endurance(run(steps((4e6, 60), (5e6, 120)), temperatures_c=(41.0, 80.0)))
    assert (found.burst_ns, found.steady_ns, found.throttled_s) == (4e6, 5e6, 60.0)
    assert found.start_c == 41


def test_without_throttling_steady_is_the_later_half():
    found = endurance(run(steps((4e6, 10), (4.1e6, 90))))
    assert (found.burst_ns, found.steady_ns, found.throttled_s) == (4e6, 4.1e6, None)


def test_a_neighbour_that_takes_the_core_is_told_from_heat():
    slower = steps((4e6, 60), (5e6, 120))
    assert endurance(run(slower, lost=(0.0,) * 60 + (0.3,) * 120)).contended
    assert not endurance(run(slower, lost=(0.3,) * 60 + (0.0,) * 120)).contended
    assert not endurance(run(slower)).contended


def test_a_run_of_one_point_has_figures_too():
    assert endurance(run([5e6])).steady_ns == 5e6
    assert endurance(None) is None


def test_a_curve_is_drawn_from_the_lowest_to_the_highest():
    drawn = spark(steps((100, 60), (150, 60)))
    assert len(drawn) == 24
    assert drawn == "▁" * 12 + "█" * 12


def test_noise_is_not_drawn_as_a_mountain():
    assert set(spark(noisy(np.full(240, 100.0)))) <= {"▁", "▂"}
