"""How a series moves in time: its trend, and how far neighbours resemble each other. Pure.

Everything works on the last axis, so that many records cost one call and not as many.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import erfc, sqrt

import numpy as np

from bench.stacks import Indices
from bench.stats import Floats

# So many pairs of values are held at once.
PAIRS = 1 << 20


@dataclass(frozen=True)
class Trend:
    """A trend over a whole series: its change as a fraction of the median, and its p-value."""

    change: float
    p: float


def trend(values: Floats) -> Trend:
    """Return the trend of a series, shape (n,): see `trends`."""
    return trends([values])[0]


def trends(series: Sequence[Floats]) -> list[Trend]:
    """Return the trend of each series of equally spaced values.

    The slope is Theil and Sen's (the median of the slopes of all pairs). Its significance is that
    of Mann and Kendall's test, two-sided, with the variance enlarged where the values resemble
    their neighbours once the slope is taken out: Yue and Wang, "The Mann-Kendall Test Modified by
    Effective Sample Size" (Water Resources Management 18, 2004), equation 10.

    Args:
        series: shape (n,) each, at least 3; those of one length are quicker than others.
    """
    found: dict[int, Trend] = {}
    for indices, values in _alike(series):
        found.update(zip(indices, _trends(values), strict=True))
    return [found[index] for index in range(len(series))]


def _alike(series: Sequence[Floats]) -> Iterator[tuple[list[int], Floats]]:
    """Yield series of one length, shape (series, n), and their indices, some at a time."""
    by_length: dict[int, list[int]] = {}
    for index, values in enumerate(series):
        by_length.setdefault(len(values), []).append(index)
    for length, indices in by_length.items():
        step = max(1, PAIRS // length**2)
        for start in range(0, len(indices), step):
            some = indices[start : start + step]
            yield some, np.array([series[i] for i in some])


def _trends(values: Floats) -> list[Trend]:
    """Return the trends of series of one length, shape (series, n)."""
    number = values.shape[-1]
    i, j = _pairs(number)
    steps = values[:, j] - values[:, i]
    slopes = np.median(steps / (j - i), axis=-1)
    scores = np.abs(np.sign(steps).sum(axis=-1))
    ties = (values[:, :, None] == values[:, None, :]).sum(axis=-1)
    variance = _kendall(np.array(float(number))) - (_kendall(ties) / ties).sum(axis=-1)
    variance *= independence(values - slopes[:, None] * np.arange(number))
    z = np.maximum(0.0, scores - 1) / np.sqrt(np.where(variance > 0, variance, np.inf))
    medians = np.median(values, axis=-1)
    changes = slopes * (number - 1) / np.where(medians != 0, medians, np.inf)
    return [
        Trend(change=change, p=erfc(deviate / sqrt(2)))
        for change, deviate in zip(changes.tolist(), z.tolist(), strict=True)
    ]


@lru_cache(maxsize=64)
def _pairs(number: int) -> tuple[Indices, Indices]:
    """Return the indices of all pairs of so many values, the earlier one first."""
    return np.triu_indices(number, 1)


def _kendall(groups: Floats) -> Floats:
    """Return what groups of so many equal values take from the score's variance."""
    return np.asarray(groups * (groups - 1) * (2 * groups + 5) / 18, dtype=np.float64)


def autocorrelation(values: Floats) -> Floats:
    """Return how far each value resembles the next: the lag-1 autocorrelation, 0 if all are equal.

    Of the ranks, so that a single far value counts no more than any other.

    Args:
        values: shape (..., n).
    """
    ranks = _ranks(values)
    centred = ranks - ranks.mean(axis=-1, keepdims=True)
    totals = (centred**2).sum(axis=-1)
    products = (centred[..., 1:] * centred[..., :-1]).sum(axis=-1)
    return np.asarray(products / np.where(totals > 0, totals, np.inf), dtype=np.float64)


def _ranks(values: Floats) -> Floats:
    """Return the rank of each value, the mean rank where several are equal."""
    one, other = values[..., :, None], values[..., None, :]
    return np.asarray(
        (one > other).sum(axis=-1) + ((one == other).sum(axis=-1) - 1) / 2, dtype=np.float64
    )


def independences(series: Sequence[Floats]) -> list[float]:
    """Return `independence` of each series, shape (n,) each; those of one length are quicker."""
    found: dict[int, float] = {}
    for indices, values in _alike(series):
        found.update(zip(indices, independence(values).tolist(), strict=True))
    return [found[index] for index in range(len(series))]


def independence(values: Floats) -> Floats:
    """Return by how much neighbours that resemble each other enlarge the variance of a mean.

    1 for independent values, for which the lag-1 autocorrelation r is below 2 / sqrt(n) 19 times of
    20; else 1 + 2 (1 - 1/n) r + 2 (1 - 2/n) r^2 + ..., as for an autoregressive series.

    Args:
        values: shape (..., n).
    """
    number = values.shape[-1]
    r = np.minimum(autocorrelation(values), 0.99)[..., None]
    lags = np.arange(1, number)
    enlarged = 1 + 2 * ((1 - lags / number) * r**lags).sum(axis=-1)
    return np.where(r[..., 0] < 2 / sqrt(number), 1.0, enlarged)
