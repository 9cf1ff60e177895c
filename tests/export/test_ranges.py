"""Ranges are exact for min-max, and for the others what their definitions say of known values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.ranges import BINS, METHODS, Histogram, Ranges

RNG = np.random.default_rng(0)


def seen(method, *batches, percentile=99.99):
    ranges = Ranges(method, percentile)
    for batch in batches:
        ranges.observe("x", np.asarray(batch, np.float32))
    return ranges.of("x")


def test_min_max_is_the_extremes_of_all_batches() -> None:
    assert seen("min-max", [[1.0, -2.0]], [[5.0, 0.0]], [[0.5, 0.5]]) == (-2.0, 5.0)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_every_method_stays_inside_the_extremes(values: list[float]) -> None:
    low, high = min(values), max(values)
    for method in METHODS:
        found = seen(method, values)
        assert low <= found[0] <= found[1] <= high


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30))
def test_a_growing_histogram_loses_no_value(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(np.array([value], np.float32))
    assert histogram.counts.sum() == len(values)
    assert len(histogram.edges) == BINS + 1


def test_percentile_leaves_out_a_rare_outlier_and_keeps_the_rest() -> None:
    values = RNG.uniform(-1, 1, 100_000)
    low, high = seen("percentile", values, [100.0])
    assert -1.1 < low < -0.99
    assert 0.99 < high < 1.1


def test_percentile_100_is_min_max() -> None:
    values = RNG.standard_normal(1000)
    assert seen("percentile", values, percentile=100.0) == seen("min-max", values)


@pytest.mark.parametrize(("share", "percentile"), [(0.90, 90.0), (0.99, 99.0)])
def test_percentile_keeps_the_share_asked_for(share: float, percentile: float) -> None:
    values = RNG.standard_normal(200_000)
    low, high = seen("percentile", values, percentile=percentile)
    assert np.mean((values >= low) & (values <= high)) == pytest.approx(share, abs=0.002)


def test_entropy_clips_a_long_tail_that_costs_resolution() -> None:
    values = np.concatenate([RNG.standard_normal(100_000), [60.0, -60.0]])
    low, high = seen("entropy", values)
    assert 2.5 < high < 30
    assert -30 < low < -2.5


def test_entropy_keeps_the_whole_of_a_uniform_range() -> None:
    low, high = seen("entropy", RNG.uniform(-1, 1, 100_000))
    assert high > 0.9
    assert low < -0.9


def test_entropy_of_a_rectified_tensor_starts_at_zero() -> None:
    low, high = seen("entropy", np.maximum(RNG.standard_normal(50_000), 0))
    assert low == 0.0
    assert high > 2.0


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_tensor_is_its_own_range(method: str) -> None:
    assert seen(method, np.zeros(10)) == (0.0, 0.0)


def test_values_that_are_not_finite_are_left_out() -> None:
    assert seen("min-max", [1.0, np.inf, np.nan, -1.0]) == (-1.0, 1.0)


def test_a_tensor_never_seen_has_no_range() -> None:
    ranges = Ranges("min-max")
    assert "x" not in ranges
    ranges.observe("x", np.array([np.nan]))
    with pytest.raises(KeyError):
        ranges.of("x")
