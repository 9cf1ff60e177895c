"""Statistics of one record: what its samples say, and how sure that is.

The unit of inference is the round, not the sample: invocations made one after another share the
processor's frequency, its caches and its neighbours, so a thousand samples of one round are one
piece of evidence. Everything here is pure: seeded, and computed from the record alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.record import Record

if TYPE_CHECKING:
    from bench.verdict import Verdict

Floats = npt.NDArray[np.float64]
Rounds = Sequence[Sequence[int]]

MIN_ROUNDS = 10
RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """The figures of one record, all times in nanoseconds.

    `p50_ns` is the median over rounds of each round's median, `low_ns` to `high_ns` its 95 %
    interval; `p90_ns` and `p99_ns` are quantiles of all samples (see `quantile`). `samples` is
    their number.
    """

    load_ns: int | None
    first_ns: int | None
    p50_ns: float
    low_ns: float
    high_ns: float
    p90_ns: int
    p99_ns: int
    samples: int
    rounds: int

    @property
    def half_width(self) -> float:
        """Half the interval's width, as a fraction of the median."""
        return relative_half_width(self.low_ns, self.p50_ns, self.high_ns)


def medians(rounds: Rounds) -> Floats:
    """Return the median of each round, shape (rounds,)."""
    return np.array([np.median(samples) for samples in rounds], dtype=np.float64)


def quantile(samples: Sequence[int], fraction: float) -> int:
    """Return the smallest sample that at least `fraction` of all samples do not exceed.

    The inverse of the empirical distribution (nearest rank, definition 1 of Hyndman and Fan 1996):
    always a time that was seen. Below 100 samples the 99th percentile is the maximum.
    """
    return int(np.quantile(samples, fraction, method="inverted_cdf"))


def resampled_medians(values: Floats, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Return the bootstrap distribution of the median of `values` (one a round).

    Args:
        values: one figure a round, shape (rounds,).
        seed: makes the draw reproducible; use different seeds for what should be independent.
        resamples: how often the rounds are drawn with replacement.

    Returns:
        The medians of the draws, shape (resamples,).
    """
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    return np.asarray(np.median(values[draws], axis=1), dtype=np.float64)


def interval(distribution: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the central part of a bootstrap distribution that holds `confidence` of it."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(distribution, (tail, 1 - tail))
    return float(low), float(high)


def relative_half_width(low: float, median: float, high: float) -> float:
    """Return half the width of an interval as a fraction of the median."""
    return (high - low) / 2 / median if median else 0.0


def precision(rounds: Rounds, seed: int) -> float:
    """Return the relative half width of the median's interval over `rounds`."""
    values = medians(rounds)
    low, high = interval(resampled_medians(values, seed))
    return relative_half_width(low, float(np.median(values)), high)


def summary(record: Record) -> Summary | None:
    """Return the figures of a record, or None if it holds no samples."""
    if not record.rounds:
        return None
    values = medians(record.rounds)
    low, high = interval(resampled_medians(values, record.settings.seed))
    samples = [sample for samples in record.rounds for sample in samples]
    return Summary(
        load_ns=record.load_ns,
        first_ns=record.first_ns,
        p50_ns=float(np.median(values)),
        low_ns=low,
        high_ns=high,
        p90_ns=quantile(samples, 0.90),
        p99_ns=quantile(samples, 0.99),
        samples=len(samples),
        rounds=len(record.rounds),
    )


def verdict(record: Record) -> "Verdict":
    """Judge a record: see `bench.verdict.verdict`."""
    from bench.verdict import verdict as judge

    return judge(record)
