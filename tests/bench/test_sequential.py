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
    def test_a_clear_slowdown_and_a_clear_pass_are_told_after_the_fewest_rounds(self):
        a = 1e6 * np.exp(np.random.default_rng(0).normal(0, 0.005, (2, LEAST_ROUNDS)))
        assert decide(a[0], 1.1 * a[1], 0.03).word == "slower"
        assert decide(a[0], a[1] / 1.1, 0.03).word == "within"
        assert decide(a[0][:-1], 1.1 * a[1], 0.03).word == "undecided"

    def test_equal_artifacts_pass_once_that_is_sure(self):
        a = 1e6 * np.exp(np.random.default_rng(1).normal(0, 0.02, (2, 200)))
        assert decide(a[0][:12], a[1], 0.02).word == "undecided"
        assert decide(*a, 0.02).word == "within"

    def test_a_slowdown_that_is_allowed_passes(self):
        a = 1e6 * np.exp(np.random.default_rng(4).normal(0, 0.003, (2, 60)))
        assert decide(a[0], 1.03 * a[1], 0.01).word == "slower"
        assert decide(a[0], 1.03 * a[1], 0.05).word == "within"

    def test_the_interval_is_around_the_ratio(self):
        a = 1e6 * np.exp(np.random.default_rng(2).normal(0, 0.01, (2, 30)))
        found = decide(a[0], 1.03 * a[1], 0.03)
        assert found.low < found.ratio < found.high
        assert found.ratio == pytest.approx(1.03, abs=0.01)

    def test_the_ratio_the_other_way_is_its_inverse(self):
        a = 1e6 * np.exp(np.random.default_rng(3).normal(0, 0.01, (2, 30)))
        there, back = decide(*a, 0.0), decide(*a[::-1], 0.0)
        assert (1 / back.ratio, 1 / back.high) == pytest.approx((there.ratio, there.low))

    def test_no_rounds_show_nothing(self):
        word, ratio, low, high = astuple(decide([], [], 0.0))
        assert (word, math.isnan(ratio), low, high) == ("undecided", True, 0.0, math.inf)


def asked(a, b, limit):
    """Return what is decided first of each series of processes, and after how many of them."""
    differences = np.log(b) - np.log(a)
    series, most = differences.shape
    said, after = np.full(series, "undecided"), np.full(series, most)
    for count in range(LEAST_ROUNDS, most + 1):
        low, high = np.exp(_bounds(differences[:, :count]))
        for word, true in (("within", high <= 1 + limit), ("slower", low > 1 + limit)):
            fresh = true & (said == "undecided")
            said[fresh], after[fresh] = word, count
    return said, after


class TestDecidedByProcesses:
    """What `bench decide` does: asked after every process of each, up to forty."""

    LIMIT = 0.03

    def test_the_words_are_those_of_the_interval(self):
        a, b = np.exp(processes(NOISES["white"], np.random.default_rng(7), 50, 12, 5))
        said, _ = asked(a[:, :LEAST_ROUNDS], b[:, :LEAST_ROUNDS], self.LIMIT)
        assert [
            decide(x, y, self.LIMIT).word for x, y in zip(a[:, :10], b[:, :10], strict=True)
        ] == said.tolist()

    def ask(self, name, ratio, series):
        a, b = np.exp(processes(NOISES[name], np.random.default_rng(6), series, 40, 5))
        return asked(a, ratio * b, self.LIMIT)

    @pytest.mark.parametrize("name", ["white", "own memory", "two clock states", "all of these"])
    def test_a_slowdown_of_the_limit_is_hardly_ever_called_one(self, name):
        """The worst case that is still allowed: anything less is called slower less often."""
        said, _ = self.ask(name, 1 + self.LIMIT, 150)
        assert (said == "slower").sum() <= 5  # 1 % of 150, and 3 sigma

    @pytest.mark.parametrize("name", ["white", "own memory", "heavy tails"])
    def test_a_clear_slowdown_and_a_clear_pass_end_it_early(self, name):
        slower, until_slower = self.ask(name, 1.05, 60)
        equal, until_equal = self.ask(name, 1.0, 60)
        assert np.mean(slower == "slower") >= 0.95
        assert np.mean(equal == "within") >= 0.95
        assert until_slower.mean() < 30
        assert until_equal.mean() < 20

    @pytest.mark.slow
    @pytest.mark.parametrize("name", NOISES)
    def test_in_earnest(self, name):
        said, _ = self.ask(name, 1 + self.LIMIT, 2000)
        assert np.mean(said == "slower") <= 0.01
        equal, _ = self.ask(name, 1.0, 2000)
        assert np.mean(equal == "slower") <= 0.001


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
