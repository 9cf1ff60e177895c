from math import comb

import numpy as np
import pytest

from bench import tail
from bench.scenario import RULES


def overlatency(t, queries, fraction):
    """F(t; queries, 1 - fraction), summed as the rules' appendix writes it."""
    return sum(
        comb(queries, k) * (1 - fraction) ** k * fraction ** (queries - k) for k in range(t + 1)
    )


@pytest.mark.parametrize(("fraction", "published"), [(0.90, 64), (0.99, 662)])
def test_an_estimate_takes_as_many_queries_as_mlperf_says(fraction, published):
    assert tail.least_queries(fraction) == published
    assert published in {rule.least_queries for rule in RULES.values()}
    assert tail.estimate([(1, published - 1)], fraction) is None
    assert tail.estimate([(1, published)], fraction) == 1


@pytest.mark.parametrize(("queries", "fraction"), [(64, 0.9), (500, 0.9), (1000, 0.99), (900, 0.9)])
def test_the_estimate_discards_the_most_latencies_that_leave_99_percent_confidence(
    queries, fraction
):
    ordered = [(latency, 1) for latency in range(1, queries + 1)]
    t = queries + 1 - tail.estimate(ordered, fraction)
    assert overlatency(t, queries, fraction) <= 0.01 < overlatency(t + 1, queries, fraction)


def test_the_estimate_is_never_below_the_percentile_and_nears_it():
    gaps = []
    for queries in (100, 10_000, 1_000_000):
        counts = [(latency, queries // 100) for latency in range(1, 101)]
        gaps.append(tail.estimate(counts, 0.9) - tail.percentile(counts, 0.9))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0
    assert gaps[-1] in {0, 1}


def test_ten_million_queries_are_no_trouble():
    assert tail.estimate([(10, 9_000_000), (20, 1_000_000)], 0.9) == 20


def test_a_percentile_is_a_latency_that_was_seen_by_nearest_rank():
    counts = [(1000, 90), (2000, 9), (3000, 1)]
    assert [tail.percentile(counts, f) for f in (0.5, 0.9, 0.91, 0.99, 1.0)] == [
        1000, 1000, 2000, 2000, 3000
    ]  # fmt: skip


def test_bins_are_a_thousandth_wide_and_never_flatter():
    drawn = np.random.default_rng(0).integers(1, 10**10, 5000).tolist()
    for latency in [1, 2047, 2048, 2**40, *drawn]:
        ((end, count),) = tail.binned([latency]).items()
        assert count == 1
        assert latency <= end <= latency * (1 + 2**-10)
    assert tail.binned([5, 5, 7]) == {5: 2, 7: 1}
