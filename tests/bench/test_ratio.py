import numpy as np
import pytest

from bench import stats
from bench.ratio import Sides, ratio, ratios
from tests.bench.factory import manifest, record

NET = manifest()


def medians(ms, **how):
    return stats.medians(record(NET, ms, **how).rounds)


def drifting(random, rounds):
    """A clock that loses 20 % over the run, and rounds that differ by 1 % besides."""
    return 1e6 * np.exp(np.linspace(0, 0.2, rounds) + random.normal(0, 0.01, rounds))


class TestApart:
    def test_it_is_of_the_medians_and_lies_in_its_interval(self):
        before, now = (medians(ms, seed=ms) for ms in (4, 5))
        found = ratio(before, now)
        assert found.value == pytest.approx(np.median(now) / np.median(before), rel=0.005)
        assert 1.2 < found.low < found.value < found.high < 1.3

    def test_noise_in_either_side_widens_it(self):
        calm, wild = (medians(4.0, spread=s) for s in (0.001, 0.1))
        widths = [
            (found := ratio(before, now)).high - found.low
            for before, now in ((calm, calm), (wild, calm), (calm, wild))
        ]
        assert widths[0] < min(widths[1:]) / 10

    def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says(self):
        sides = [
            Sides(
                *(medians(ms, seed=2 * seed + b, spread=0.05) for b, ms in enumerate((4, 4.4))),
                False,
            )
            for seed in range(1000)
        ]
        held = np.mean([found.low <= 1.1 <= found.high for found in ratios(sides)])
        assert held == pytest.approx(0.99, abs=0.008)

    def test_rounds_that_resemble_their_neighbours_count_for_less(self):
        random = np.random.default_rng(0)
        steps = random.normal(0, 0.01, (2, 60))
        wandering = 1e6 * np.exp(np.cumsum(steps, axis=1))
        shuffled = random.permuted(wandering, axis=1)
        widths = [(r := ratio(*pair)).high / r.low - 1 for pair in (wandering, shuffled)]
        assert widths[0] > 3 * widths[1]

    def test_spikes_move_it_little(self):
        before, now = (medians(4.0, seed=s, count=40) for s in (1, 2))
        struck = np.where(np.arange(40) % 10 == 0, 5 * now, now)
        assert ratio(before, struck).value == pytest.approx(ratio(before, now).value, rel=0.01)

    def test_different_numbers_of_rounds_may_be_compared(self):
        found = ratio(medians(4.0, count=12), medians(4.4, count=50))
        assert found.low < 1.1 < found.high


class TestTogether:
    def test_what_drifts_meets_both_alike(self):
        random = np.random.default_rng(1)
        shared = drifting(random, 40)
        before, now = (shared * np.exp(random.normal(0, 0.005, 40)) for _ in range(2))
        apart, together = ratio(before, 1.03 * now), ratio(before, 1.03 * now, together=True)
        assert apart.low < 1 < apart.high
        assert 1.02 < together.low < 1.03 < together.high < 1.04

    def test_the_first_rounds_that_both_have_are_compared(self):
        before, now = drifting(np.random.default_rng(2), 40), drifting(np.random.default_rng(3), 25)
        assert ratio(before, now, together=True) == ratio(before[:25], now, together=True)

    def test_too_few_common_rounds_are_compared_as_if_apart(self):
        before, now = medians(4.0, count=30), medians(4.0, count=5, seed=1)
        assert ratio(before, now, together=True) == ratio(before, now)


class TestProcesses:
    """Few figures, independent of each other: Student's interval, and no sequence."""

    def drawn(self, seed, count=10, own=0.03):
        levels = 1e6 * np.exp(own * np.random.default_rng(seed).standard_normal((2, count)))
        return Sides(*levels, True, (True, True))

    def test_the_interval_holds_the_truth_as_often_as_it_says(self):
        held = [r.low <= 1 <= r.high for r in ratios([self.drawn(seed) for seed in range(2000)])]
        assert np.mean(held) == pytest.approx(0.99, abs=0.006)

    def test_it_is_that_of_the_differences_process_by_process(self):
        sides = self.drawn(0)
        shared = np.exp(np.linspace(0, 0.5, 10))
        drifted = Sides(sides.before * shared, sides.now * shared, True, (True, True))
        one, other = ratios([sides, drifted])
        assert (one.low, one.high) == pytest.approx((other.low, other.high))

    def test_fewer_than_six_are_not_enough_and_six_are(self):
        assert [self.drawn(0, count).enough for count in (5, 6)] == [False, True]
        assert [self.drawn(0, count).blocks for count in (5, 6)] == [0, 6]

    def test_several_processes_may_be_held_against_the_rounds_of_one(self):
        sides = self.drawn(1)._replace(before=medians(1.0), together=False, processes=(False, True))
        assert sides.enough
        (found,) = ratios([sides])
        assert found.low < 1 < found.high


class TestMany:
    def test_each_is_what_it_is_alone(self):
        sides = [
            Sides(medians(4, count=a, seed=a), medians(5, count=b, seed=b + 1), together)
            for a, b, together in ((20, 20, True), (12, 20, False), (20, 20, False), (20, 30, True))
        ]
        alone = [ratio(s.before, s.now, together=s.together) for s in sides]
        for one, found in zip(alone, ratios(sides), strict=True):
            assert (one.value, one.low, one.high) == pytest.approx(
                (found.value, found.low, found.high)
            )

    def test_none_are_none(self):
        assert ratios([]) == []
