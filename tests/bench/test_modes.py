import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.modes import SIGNIFICANT, dip, levels

VALUES = st.lists(st.integers(-(10**6), 10**6), min_size=4, max_size=40)


def test_the_dip_is_that_of_the_published_example():
    """Ages of a faculty's 63 statisticians, in Hartigan and Hartigan's and in R's diptest."""
    counts = [int(c) for c in "1001011205411322223121252002013441001000102"]
    ages = np.repeat(np.arange(len(counts)), counts).astype(float)
    assert dip(ages) == pytest.approx(0.05952381, abs=1e-8)


def test_two_points_are_the_farthest_from_one_mode_and_an_atom_is_one():
    assert dip(np.array([0.0] * 10 + [1.0] * 10)) == pytest.approx(0.25)
    assert dip(np.full(20, 3.0)) == pytest.approx(1 / 40)
    assert dip(np.arange(20.0)) == pytest.approx(1 / 40)


@given(VALUES)
def test_the_dip_knows_neither_order_nor_direction_nor_scale(values):
    series = np.array(values, float)
    for same in (series[::-1], -series, 3 * series + 5):
        assert dip(same) == pytest.approx(dip(series), abs=1e-6)
    assert 1 / (2 * len(series)) - 1e-9 <= dip(series) <= 0.25 + 1e-9


@pytest.mark.parametrize(("number", "published"), [(10, 0.1597), (20, 0.1206), (50, 0.0812)])
def test_the_99th_percentile_is_the_published_one(number, published):
    random = np.random.default_rng(number)
    found = np.quantile([dip(random.random(number)) for _ in range(1500)], 0.99)
    assert found == pytest.approx(published, rel=0.08)
    assert SIGNIFICANT / number**0.5 >= 0.95 * published


def test_two_levels_are_found_with_their_share():
    random = np.random.default_rng(0)
    series = np.where(random.random(60) < 0.3, 4.4, 4.0) * (1 + 0.003 * random.standard_normal(60))
    found = levels(series)
    assert found.low == pytest.approx(4.0, rel=0.01)
    assert found.high == pytest.approx(4.4, rel=0.01)
    assert found.share_high == pytest.approx(0.3, abs=0.12)


@pytest.mark.parametrize("shape", ["normal", "exponential", "uniform"])
def test_one_mode_of_any_shape_is_no_two_levels(shape):
    alarms = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        alarms += levels(getattr(random, shape)(size=40)) is not None
    assert alarms <= 3
