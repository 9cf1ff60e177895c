import math

import numpy as np
import pytest
from msgspec.structs import astuple

from bench.ratio import Sides, ratios
from bench.sequential import LEAST_ROUNDS, bounds, decide, place
from bench.series import location
from bench.simulate import NOISES, interleaved, processes, spaced

# Machines on which artifacts differ in nothing but what they compute.
SHARED = [name for name, noise in NOISES.items() if noise.own is None]


def _bounds(differences):
    return bounds(location(differences), differences.shape[1])


def words(differences, floor=0.0):
    """Return what is said first of each series, asked as its rounds grow, and after how many."""
    series, rounds = differences.shape
    said, after = np.full(series, "undecided"), np.full(series, rounds)
    for count in spaced(rounds, LEAST_ROUNDS):
        open_ = np.flatnonzero(said == "undecided")
        low, high = np.exp(_bounds(differences[open_, :count])) if len(open_) else [()] * 2
        for index, *ends in zip(open_, low, high, strict=True):
            said[index] = place(*ends, 0.02, floor)
            after[index] = count
    return said, after


def drawn(name, series, rounds, seed=0):
    a, b = interleaved(NOISES[name], np.random.default_rng(seed), series, rounds)
    return b - a


class TestDecide:
    def test_a_clear_slowdown_and_a_clear_gain_are_told_after_the_fewest_rounds(self):
        a = 1e6 * np.exp(np.random.default_rng(0).normal(0, 0.005, (2, LEAST_ROUNDS)))
        assert decide(a[0], 1.1 * a[1]).word == "slower"
        assert decide(a[0], a[1] / 1.1).word == "faster"
        assert decide(a[0][:-1], 1.1 * a[1]).word == "undecided"

    def test_equal_artifacts_are_the_same_once_that_is_sure(self):
        a = 1e6 * np.exp(np.random.default_rng(1).normal(0, 0.02, (2, 200)))
        assert decide(a[0][:12], a[1]).word == "undecided"
        assert decide(*a).word == "same"

    def test_the_interval_is_around_the_ratio(self):
        a = 1e6 * np.exp(np.random.default_rng(2).normal(0, 0.01, (2, 30)))
        found = decide(a[0], 1.03 * a[1])
        assert found.low < found.ratio < found.high
        assert found.ratio == pytest.approx(1.03, abs=0.01)

    def test_the_ratio_the_other_way_is_its_inverse(self):
        a = 1e6 * np.exp(np.random.default_rng(3).normal(0, 0.01, (2, 30)))
        there, back = decide(*a), decide(*a[::-1])
        assert (1 / back.ratio, 1 / back.high) == pytest.approx((there.ratio, there.low))

    def test_slower_must_be_beyond_the_floor_and_the_same_may_reach_to_it(self):
        a = 1e6 * np.exp(np.random.default_rng(4).normal(0, 0.003, (2, 60)))
        assert decide(a[0], 1.03 * a[1]).word == "slower"
        assert decide(a[0], 1.03 * a[1], floor=0.05).word == "same"

    def test_no_rounds_show_nothing(self):
        word, ratio, low, high = astuple(decide([], []))
        assert (word, math.isnan(ratio), low, high) == ("undecided", True, 0.0, math.inf)


class TestPromisedRates:
    """1 % of false alarms and 95 % of slowdowns of 3 % found: see docs/trust.md."""

    @pytest.mark.parametrize("name", SHARED)
    def test_equal_artifacts_and_a_slowdown(self, name):
        differences = drawn(name, 400, 200)
        said, _ = words(differences)
        assert np.isin(said, ["faster", "slower"]).sum() <= 9  # 1 % of 400, and 2.5 sigma
        found, after = words(differences + np.log(1.03))
        assert np.mean(found == "slower") >= 0.95
        assert after.mean() < 100

    @pytest.mark.slow
    @pytest.mark.parametrize("name", SHARED)
    def test_in_earnest(self, name):
        differences = drawn(name, 5000, 300, seed=1)
        said, _ = words(differences)
        assert np.isin(said, ["faster", "slower"]).mean() <= 0.01
        found, _ = words(differences + np.log(1.03))
        assert np.mean(found == "slower") >= 0.99

    def test_an_interval_of_fixed_length_would_err_many_times_as_often(self):
        """Why the looks have to be paid for: the same series, believed at 99 % at every look."""
        differences = drawn("white", 400, 200)
        alarms = np.zeros(400, dtype=bool)
        for count in spaced(200, LEAST_ROUNDS):
            part = differences[:, :count]
            alarms |= abs(part.mean(axis=1)) > 2.576 * part.std(axis=1, ddof=1) / np.sqrt(count)
        assert alarms.mean() > 0.05

    @pytest.mark.parametrize("name", NOISES)
    def test_fresh_processes_hold_the_rate_whatever_belongs_to_them(self, name):
        a, b = np.exp(processes(NOISES[name], np.random.default_rng(5), 1000, 10, 5))
        sides = [Sides(x, y, True, (True, True)) for x, y in zip(a, b, strict=True)]
        alarms = sum(r.low > 1 or r.high < 1 for r in ratios(sides))
        assert alarms <= 21  # 1.1 % of 1000, and 3 sigma

    def test_what_belongs_to_one_process_needs_the_floor(self):
        differences = drawn("own layout", 400, 60)
        assert np.isin(words(differences)[0], ["faster", "slower"]).mean() > 0.01
        assert np.isin(words(differences, floor=0.012)[0], ["faster", "slower"]).sum() <= 4
