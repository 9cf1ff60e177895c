"""Activation ranges of an int8 file, by one definition for every format.

A converter shows each tensor, batch by batch; a range comes out. Histograms grow with what they
see, so that nothing is kept and no second pass is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Method = Literal["min-max", "percentile", "entropy"]
METHODS: tuple[Method, ...] = ("min-max", "percentile", "entropy")

BINS = 4096
TINY = 1e-30
CANDIDATES = 64
LEVELS = 128  # what int8 gives each side of zero


@dataclass
class Histogram:
    """Counts over ``[-reach, reach]``, and the extremes seen.

    The reach doubles when a value lies beyond it, neighbouring bins being joined: counts stay
    exact.
    """

    reach: float = 0.0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    low: float = np.inf
    high: float = -np.inf

    def add(self, values: Array) -> None:
        """Count the values of an array of any shape; those that are not finite are left out."""
        flat = self.reach_to(values)
        if not flat.size:
            return
        self._widen(max(-self.low, self.high))
        counted, _ = np.histogram(flat, BINS, (-self.reach, self.reach))
        self.counts += counted

    def reach_to(self, values: Array) -> Array:
        """Note the extremes of an array, and return its finite values, flat."""
        flat: Array = values.ravel()
        finite = np.isfinite(flat)
        flat = flat if finite.all() else flat[finite]
        if flat.size:
            self.low = min(self.low, float(flat.min()))
            self.high = max(self.high, float(flat.max()))
        return flat

    def _widen(self, wanted: float) -> None:
        if not self.reach:
            # Bins of a reach near float's smallest number would have no width.
            self.reach = wanted if wanted > TINY else 1.0
        while self.reach < wanted:
            self.reach *= 2
            middle = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[BINS // 4 : 3 * BINS // 4] = middle

    @property
    def edges(self) -> Array:
        """The bins' limits, one more than there are bins."""
        return np.linspace(-self.reach, self.reach, BINS + 1)


def extremes(histogram: Histogram) -> tuple[float, float]:
    """Return the smallest and the largest value seen."""
    return histogram.low, histogram.high


def percentiles(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """Return the range that leaves out what lies beyond the percentile, half at each end.

    A bin that holds the limit is kept whole: the range is never narrower than asked.
    """
    outside = histogram.counts.sum() * (1 - percentile / 100) / 2
    below, above = np.cumsum(histogram.counts), np.cumsum(histogram.counts[::-1])
    first = int(np.searchsorted(below, outside, side="right"))
    last = BINS - int(np.searchsorted(above, outside, side="right"))
    edges = histogram.edges
    return max(histogram.low, edges[first]), min(histogram.high, edges[last])


def entropy(histogram: Histogram) -> tuple[float, float]:
    """Return the range whose int8 levels lose the least information (Kullback-Leibler divergence).

    The rule of Migacz, "8-bit inference with TensorRT" (GTC 2017), on magnitudes: each candidate
    clips what is beyond it into its last bin, and is compared with itself at 128 levels, or at 256
    where all values have one sign. Bins are joined until two make a level: with finer ones the
    rule takes a spiky histogram's gaps for information, and clipped a ReLU6 at 0.9 that reached 6.
    """
    levels = LEVELS * (2 if histogram.low >= 0 or histogram.high <= 0 else 1)
    magnitudes = histogram.counts[BINS // 2 :] + histogram.counts[: BINS // 2][::-1]
    # An exact zero (after a ReLU, most values) is stored without error whatever the range.
    magnitudes[0] = 0
    if not magnitudes.any():
        return histogram.low, histogram.high
    used = int(np.flatnonzero(magnitudes)[-1]) + 1
    candidates = np.unique(np.geomspace(min(levels, used), used, CANDIDATES).astype(int))
    best = min(candidates, key=lambda bins: _divergence(magnitudes, int(bins), levels))
    threshold = histogram.reach * float(best) / (BINS // 2)
    return max(histogram.low, -threshold), min(histogram.high, threshold)


def _divergence(magnitudes: npt.NDArray[np.int64], bins: int, levels: int) -> float:
    joined = -(-bins // (2 * levels))
    kept = np.add.reduceat(magnitudes[:bins], range(0, bins, joined)).astype(np.float64)
    clipped = kept.copy()
    clipped[-1] += magnitudes[bins:].sum()
    level = np.arange(len(kept)) * levels // len(kept)
    present = kept > 0
    total = np.bincount(level, kept, levels)
    filled = np.bincount(level, present, levels)
    spread = np.where(present, (total / np.maximum(filled, 1))[level], 0.0)
    p, q = clipped / clipped.sum(), spread / max(spread.sum(), 1.0)
    # Where clipping puts values into a bin that has none, q gets a share that is not zero.
    q = np.maximum(q, 1e-10)
    used = p > 0
    return float((p[used] * np.log(p[used] / q[used])).sum())


class Ranges:
    """The ranges of a file's tensors by one method; `observe` is called with every value."""

    def __init__(self, method: Method, percentile: float = 99.99) -> None:
        rules: dict[Method, Callable[[Histogram], tuple[float, float]]] = {
            "min-max": extremes,
            "percentile": partial(percentiles, percentile=percentile),
            "entropy": entropy,
        }
        self._rule = rules[method]
        # Counting takes as long as running the network, and extremes need no counts.
        self._counts = method != "min-max"
        self._histograms: dict[str, Histogram] = {}

    def observe(self, name: str, values: Array) -> None:
        """Take the values of the tensor `name` into account."""
        histogram = self._histograms.setdefault(name, Histogram())
        if self._counts:
            histogram.add(values)
        else:
            histogram.reach_to(values)

    def of(self, name: str) -> tuple[float, float]:
        """Return the range of a tensor; KeyError if it was never seen with a finite value."""
        histogram = self._histograms[name]
        if histogram.high < histogram.low:
            raise KeyError(name)
        low, high = self._rule(histogram)
        return float(low), float(high)

    def __contains__(self, name: str) -> bool:
        return name in self._histograms
