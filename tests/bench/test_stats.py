import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bench import stats
from bench.stats import summary
from tests.bench.records import make_record
from tests.bench.series import around, rounds

TIMES = st.lists(st.lists(st.integers(1, 10**12), min_size=1, max_size=20), min_size=1, max_size=40)


def test_a_quantile_is_a_sample_seen():
    samples = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert stats.quantile(samples, 0.9) == 90
    assert stats.quantile(samples, 0.91) == 100
    assert stats.quantile(samples, 0.99) == 100
    assert stats.quantile([7], 0.5) == 7


def test_the_p50_is_the_median_of_the_rounds_medians():
    record = make_record(rounds=[[1, 2, 300], [4, 4, 4], [9, 10, 11]])
    assert summary(record).p50_ns == 4


def test_several_processes_have_the_median_of_their_rounds_each():
    samples = [[5], [1], [9], [20], [22]]
    assert stats.units(samples, (3, 2)).tolist() == [5, 21]
    assert stats.units(samples, (5,)).tolist() == stats.units(samples, ()).tolist()
    record = replace(make_record(rounds=samples), processes=(3, 2))
    figures = summary(record)
    assert (figures.p50_ns, figures.processes, figures.rounds) == (13, 2, 5)


def test_the_interval_over_processes_knows_what_that_over_their_rounds_does_not():
    random = np.random.default_rng(0)
    held = {"processes": 0, "rounds": 0}
    for seed in range(300):
        levels = 1e6 * np.exp(0.03 * random.standard_normal((10, 1)) * np.ones(3))
        made = around(levels.ravel(), seed=seed)
        for which, processes in (("processes", (3,) * 10), ("rounds", ())):
            figures = summary(replace(make_record(rounds=made), processes=processes))
            held[which] += figures.low_ns <= 1e6 <= figures.high_ns
    assert held["processes"] / 300 == pytest.approx(0.95, abs=0.035)
    assert held["rounds"] / 300 < 0.85


def test_rounds_are_resampled_not_samples():
    """Two thousand samples of two rounds are no more sure than the two rounds are."""
    two = [[100] * 1000, [200] * 1000]
    assert stats.precision(two) == pytest.approx(1 / 3)


@pytest.mark.parametrize("count", [10, 20, 35])
def test_the_interval_covers_the_true_median_about_as_often_as_it_says(count):
    random = np.random.default_rng(count)
    series = np.exp(random.normal(0, 0.05, (4000, count)))
    bounds = [stats.median_interval(values) for values in series]
    covered = np.mean([low <= 1 <= high for low, high in bounds])
    assert covered == pytest.approx(0.95, abs=0.012)


def test_fewer_than_six_rounds_give_all_that_was_seen():
    assert stats.median_interval(np.array([3.0, 1.0, 2.0])) == (1.0, 3.0)


def test_the_p90_of_a_round_is_a_sample_seen():
    assert stats.p90s([[10, 20, 30, 40, 50, 60, 70, 80, 90, 100], [7]]).tolist() == [90, 7]


def test_more_rounds_make_the_interval_tighter():
    few, many = (stats.precision(rounds(n, drift=0.05)) for n in (10, 160))
    assert many < few / 2


@given(TIMES)
@settings(max_examples=50, deadline=None)
def test_figures_are_ordered_and_within_what_was_seen(samples):
    figures = summary(make_record(rounds=samples))
    every = [time for one in samples for time in one]
    assert min(every) <= figures.low_ns <= figures.p50_ns <= figures.high_ns <= max(every)
    assert figures.p90_ns <= figures.p99_ns
    assert {figures.p90_ns, figures.p99_ns} <= set(every)
    assert (figures.samples, figures.rounds) == (len(every), len(samples))


@given(TIMES, st.integers(2, 1000))
@settings(max_examples=25, deadline=None)
def test_precision_does_not_depend_on_the_unit(samples, factor):
    scaled = [[time * factor for time in one] for one in samples]
    assert stats.precision(scaled) == pytest.approx(stats.precision(samples))


def test_a_binomial_interval_is_wilsons():
    """Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, and 0 of 20."""
    assert stats.binomial_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert stats.binomial_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
