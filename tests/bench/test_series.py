import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import series


def wandering(random, count, rounds, share):
    steps = random.standard_normal((rounds, count))
    steps[1:] *= np.sqrt(1 - share**2)
    for index in range(1, rounds):
        steps[index] += share * steps[index - 1]
    return steps.T


@pytest.mark.parametrize(
    ("freedom", "published"), [(2, 9.925), (5, 4.032), (9, 3.250), (29, 2.756), (120, 2.617)]
)
def test_students_t_at_one_percent_is_near_the_table(freedom, published):
    tolerance = 0.13 if freedom == 2 else 0.01
    assert float(series.student(2.5758, freedom)) == pytest.approx(published, rel=tolerance)
    assert series.student(2.5758, freedom) >= published * 0.999  # never too narrow


def test_on_normal_noise_it_is_as_good_as_the_mean():
    drawn = np.random.default_rng(0).standard_normal((4000, 40))
    found = series.location(drawn)
    assert np.var(found.value) == pytest.approx(1 / 40 / 0.95, rel=0.06)
    assert np.median(found.variance) == pytest.approx(np.var(found.value), rel=0.15)


def test_a_fifth_of_wild_rounds_hardly_moves_it():
    values = np.random.default_rng(1).standard_normal(60)
    values[::5] += 1000
    assert abs(series.location(values).value) < 1


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_the_variance_allows_for_rounds_that_resemble_their_neighbours(share):
    found = series.location(wandering(np.random.default_rng(2), 3000, 100, share))
    assert np.median(found.variance) == pytest.approx(np.var(found.value), rel=0.3)


def test_independent_rounds_keep_nearly_all_degrees_of_freedom_and_correlated_ones_lose_them():
    random = np.random.default_rng(3)
    free, tied = (
        np.median(series.location(wandering(random, 500, 100, share)).freedom)
        for share in (0.0, 0.9)
    )
    assert free > 80
    assert tied < 12


def test_equal_rounds_have_no_variance_and_a_coarse_clock_has_some():
    assert series.location([3.0] * 12).variance == 0
    ticks = [0.0] * 9 + [1.0, -1.0, 1.0]
    assert series.location(ticks).variance > 0


def test_one_round_is_no_evidence_at_all():
    low, high = series.around(series.location([2.0]), 2.58)
    assert (low, high) == (2.0 - series.FARTHEST, 2.0 + series.FARTHEST)


class TestIndependent:
    """The trimmed mean of processes, and Student's interval around it."""

    @pytest.mark.parametrize("count", [6, 9, 10, 20])
    def test_the_interval_holds_the_truth_about_as_often_as_it_says(self, count):
        drawn = np.random.default_rng(count).standard_normal((20_000, count))
        low, high = series.around(series.independent(drawn), 2.5758)
        assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.99, abs=0.004)

    def test_fewer_than_ten_have_the_mean_and_its_variance(self):
        values = np.random.default_rng(0).standard_normal(9)
        found = series.independent(values)
        expected = (values.mean(), values.var(ddof=1) / 9, 8)
        assert tuple(map(float, found)) == pytest.approx(expected)

    def test_of_ten_one_disturbed_process_decides_nothing(self):
        values = np.random.default_rng(1).standard_normal(10)
        struck = np.where(np.arange(10) == np.argmax(values), 1000.0, values)
        assert series.independent(struck) == series.independent(values)

    def test_one_is_no_evidence(self):
        low, high = series.around(series.independent([2.0]), 2.58)
        assert (low, high) == (2.0 - series.FARTHEST, 2.0 + series.FARTHEST)


@given(
    st.lists(st.integers(-30, 30), min_size=2, max_size=40),
    st.integers(-5, 5),
)
def test_it_moves_with_the_series(values, shift):
    plain, moved = (series.location(np.array(values) + s) for s in (0.0, shift))
    assert moved.value == pytest.approx(plain.value + shift, abs=1e-6)
    assert min(values) - 1e-9 <= plain.value <= max(values) + 1e-9
