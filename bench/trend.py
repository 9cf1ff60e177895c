"""How a series moves in time: its trend, and how far neighbours resemble each other. Pure."""

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from bench.stats import Floats


@dataclass(frozen=True)
class Trend:
    """A trend over a whole series: its change as a fraction of the median, and its p-value."""

    change: float
    p: float


def trend(values: Floats) -> Trend:
    """Return the trend of a series of equally spaced values.

    The slope is Theil and Sen's (the median of the slopes of all pairs). Its significance is that
    of Mann and Kendall's test, two-sided, with the variance enlarged where the values resemble
    their neighbours once the slope is taken out: Yue and Wang, "The Mann-Kendall Test Modified by
    Effective Sample Size" (Water Resources Management 18, 2004), equation 10.

    Args:
        values: shape (n,), at least 3.
    """
    number = len(values)
    i, j = np.triu_indices(number, 1)
    steps = values[j] - values[i]
    slope = float(np.median(steps / (j - i)))
    score = abs(np.sign(steps).sum())
    _, ties = np.unique(values, return_counts=True)
    variance = _kendall(np.array([float(number)])) - _kendall(ties.astype(np.float64))
    variance *= independence(values - slope * np.arange(number))
    z = max(0.0, score - 1) / sqrt(variance) if variance > 0 else 0.0
    median = float(np.median(values))
    return Trend(change=slope * (number - 1) / median if median else 0.0, p=erfc(z / sqrt(2)))


def _kendall(groups: Floats) -> float:
    return float((groups * (groups - 1) * (2 * groups + 5)).sum()) / 18


def autocorrelation(values: Floats) -> float:
    """Return how far each value resembles the next: the lag-1 autocorrelation, 0 if all are equal.

    Of the ranks, so that a single far value counts no more than any other.
    """
    ranks = _ranks(values)
    centred = ranks - ranks.mean()
    total = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / total if total else 0.0


def _ranks(values: Floats) -> Floats:
    """Return the rank of each value, the mean rank where several are equal."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=np.float64)


def independence(values: Floats) -> float:
    """Return by how much neighbours that resemble each other enlarge the variance of a mean.

    1 for independent values, for which the lag-1 autocorrelation r is below 2 / sqrt(n) 19 times of
    20; else 1 + 2 (1 - 1/n) r + 2 (1 - 2/n) r^2 + ..., as for an autoregressive series.
    """
    number, r = len(values), min(autocorrelation(values), 0.99)
    if r < 2 / sqrt(number):
        return 1.0
    lags = np.arange(1, number)
    return 1 + 2 * float(((1 - lags / number) * r**lags).sum())
