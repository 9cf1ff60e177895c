"""Percentiles of very many latencies, kept as counts, and how sure they are. Pure.

A ten-minute run of a quick network has tens of millions of queries. They are counted by latency to
eleven binary digits (0.1 %), and each stands for the largest of its bin: no figure flatters.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import ceil, log

import numpy as np

from bench.stats import Floats

DIGITS = 11
CONFIDENCE = 0.99

Counts = Sequence[tuple[int, int]]


def binned(latencies: Sequence[int]) -> Counter[int]:
    """Count latencies (nanoseconds) by the upper ends of their bins."""
    exact = np.array(latencies, dtype=np.int64)
    shift = np.maximum(np.frexp(exact.astype(np.float64))[1] - DIGITS, 0)
    ends = (((exact >> shift) + 1) << shift) - 1
    values, counts = np.unique(ends, return_counts=True)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def percentile(counts: Counts, fraction: float) -> int:
    """Return the least latency that at least `fraction` of all do not exceed (nearest rank)."""
    number = sum(count for _, count in counts)
    return _from_above(counts, number - ceil(round(fraction * number, 9)) + 1)


def estimate(counts: Counts, fraction: float) -> int | None:
    """Return MLPerf's early-stopping estimate of a percentile: with 99 % confidence the true one is
    no higher. None of too few queries.

    "MLPerf Inference Rules", appendix Early Stopping Criterion (d = 0, c = 0.99): of q queries find
    the largest t with F(t; q, 1 - p) <= 1 - c, F the binomial distribution; discard the t - 1
    highest latencies and report the highest of the rest.
    """
    over = _overlatency(sum(count for _, count in counts), fraction)
    return _from_above(counts, over) if over >= 1 else None


def least_queries(fraction: float) -> int:
    """Return how many queries an estimate of this percentile takes: t is 1 of so many."""
    number = 1
    while _overlatency(number, fraction) < 1:
        number += 1
    return number


def _from_above(counts: Counts, rank: int) -> int:
    """Return the latency of a rank, 1 being the highest."""
    for latency, count in sorted(counts, reverse=True):
        rank -= count
        if rank <= 0:
            return latency
    raise ValueError("there are not so many")


@lru_cache(maxsize=4096)
def _overlatency(queries: int, fraction: float) -> int:
    """Return the largest t with F(t; queries, 1 - fraction) <= 1 - `CONFIDENCE`, -1 of none."""
    successes = np.arange(1, ceil((1 - fraction) * queries) + 1, dtype=np.float64)
    steps: Floats = np.log((queries + 1 - successes) / successes * ((1 - fraction) / fraction))
    logs = queries * log(fraction) + np.concatenate([[0.0], np.cumsum(steps)])
    below = np.cumsum(np.exp(logs))
    return int(np.searchsorted(below, 1 - CONFIDENCE, side="right")) - 1
