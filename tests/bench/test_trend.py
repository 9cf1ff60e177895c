import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.trend import autocorrelation, independence, trend
from tests.bench.series import autoregressive

SERIES = st.lists(st.integers(1, 10**9), min_size=3, max_size=40).map(lambda v: np.array(v, float))


def test_a_straight_line_gives_its_change_over_the_whole_series():
    found = trend(np.linspace(95, 105, 21))
    assert found.change == pytest.approx(0.10)
    assert found.p < 1e-6


def test_a_far_value_does_not_make_a_trend():
    found = trend(np.array([*[100.0, 101.0] * 10, 900.0]))
    assert abs(found.change) < 0.01
    assert found.p > 0.05


def test_equal_values_have_none():
    found = trend(np.full(12, 7.0))
    assert (found.change, found.p) == (0.0, 1.0)


def test_the_p_value_of_a_perfect_order_is_that_of_kendalls_table():
    """Ten values in order: S = 45, variance 10 x 9 x 25 / 18 = 125, z = 44 / sqrt(125) = 3.935."""
    assert trend(np.arange(1.0, 11.0)).p == pytest.approx(8.3e-5, rel=0.01)


@pytest.mark.parametrize("number", [10, 40, 130])
def test_false_alarms_among_independent_values_are_as_rare_as_promised(number):
    alarms = [trend(autoregressive(number, 0, seed=s)).p < 0.01 for s in range(500)]
    assert np.mean(alarms) <= 0.02


def test_neighbours_that_resemble_each_other_make_few_false_alarms():
    alarms = [trend(autoregressive(130, 0.5, seed=s)).p < 0.01 for s in range(300)]
    assert np.mean(alarms) <= 0.05


@given(SERIES)
def test_backwards_the_trend_is_the_opposite(values):
    there, back = trend(values), trend(values[::-1])
    assert there.change == pytest.approx(-back.change)


def test_autocorrelation_is_that_of_the_series():
    found = [autocorrelation(autoregressive(500, 0.6, seed=s)) for s in range(20)]
    assert np.mean(found) == pytest.approx(0.6, abs=0.05)


def test_equal_values_have_no_autocorrelation():
    assert autocorrelation(np.full(10, 3.0)) == 0


def test_independent_values_count_in_full_and_resembling_ones_less():
    assert independence(autoregressive(100, 0, seed=1)) == 1
    assert 3 < independence(autoregressive(2000, 0.6, seed=1)) < 5  # (1 + 0.6) / (1 - 0.6) = 4
