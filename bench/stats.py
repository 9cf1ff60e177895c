"""Statistics of one record: what its samples say, and how sure that is.

The unit of inference is the process, or the round where there was only one process, and never the
sample: invocations made one after another share the processor's frequency, its caches and its
neighbours, so a thousand samples of one round are one piece of evidence. Everything here is pure,
and computed from the record alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain
from math import ceil, comb

import numpy as np
import numpy.typing as npt

from bench.record import Record

Floats = npt.NDArray[np.float64]
Rounds = Sequence[Sequence[int]]

MIN_ROUNDS = 10
# Fewer values have no 95 % interval of their median: see `median_interval`.
MIN_PROCESSES = 6
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """The figures of one record, all times in nanoseconds.

    `p50_ns` is the median over units of inference (see `units`) of each one's median, `low_ns` to
    `high_ns` its 95 % interval; `p90_ns` and `p99_ns` are quantiles of all samples (see
    `quantile`). `samples` is their number.
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
    processes: int = 1

    @property
    def half_width(self) -> float:
        """Half the interval's width, as a fraction of the median."""
        return relative_half_width(self.low_ns, self.p50_ns, self.high_ns)


def medians(rounds: Rounds) -> Floats:
    """Return the median of each round, shape (rounds,)."""
    return np.array([_median(sorted(samples)) for samples in rounds], dtype=np.float64)


def p90s(rounds: Rounds) -> Floats:
    """Return the 90th percentile of each round by the rule of `quantile`, shape (rounds,)."""
    return np.array([sorted(s)[_rank(len(s), 0.9)] for s in rounds], dtype=np.float64)


@lru_cache(maxsize=4096)
def _rank(count: int, fraction: float) -> int:
    """Return the index of a quantile; the share is rounded, as 0.7 of 10 is a little above 7."""
    return ceil(round(fraction * count, 9)) - 1


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quantile(samples: Sequence[int], fraction: float) -> int:
    """Return the smallest sample that at least `fraction` of all samples do not exceed.

    The inverse of the empirical distribution (nearest rank, definition 1 of Hyndman and Fan 1996):
    always a time that was seen. Below 100 samples the 99th percentile is the maximum.
    """
    return sorted(samples)[_rank(len(samples), fraction)]


def units(
    rounds: Rounds, processes: Sequence[int], figure: Callable[[Rounds], Floats] = medians
) -> Floats:
    """Return the figure of every unit of inference: of each process, where there were several.

    Rounds of one process share where its memory lies, so however many there are, they are one piece
    of evidence of what the next process will show (Kalibera and Jones 2013, section 5; Georges,
    Buytaert and Eeckhout 2007, section 3). A process has the median of its rounds' figures. Of one
    process there is nothing but its rounds.

    Args:
        rounds: nanoseconds of single invocations, one list a round.
        processes: how many successive rounds each process made; empty if that is not known.
        figure: of each round, shape (rounds,).
    """
    return by_process(figure(rounds), processes)


def by_process(values: Floats, processes: Sequence[int]) -> Floats:
    """Return the median, in each process, of what its rounds gave, shape (processes,).

    Args:
        values: one a round, shape (rounds,); returned as they are where there is one process, or
            each made one round.
        processes: how many successive rounds each process made; empty if that is not known.
    """
    if max(processes, default=1) == 1 or len(processes) == 1:
        return values
    each, ends = values.tolist(), accumulate(processes)
    parts = (each[end - count : end] for count, end in zip(processes, ends, strict=True))
    return np.array([_median(sorted(part)) for part in parts], dtype=np.float64)


def median_interval(values: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the median of independent `values`, whatever they are drawn from.

    Between order statistics, interpolated (Hettmansperger and Sheather 1986): closed, so that a
    hundred thousand records need no resampling. Fewer than six values give the least and the
    largest, which hold the median less often than that.
    """
    rank, share = _ranks(len(values), CONFIDENCE)
    ordered = sorted(values.tolist())
    if rank == 0:
        return ordered[0], ordered[-1]
    low = (1 - share) * ordered[rank - 1] + share * ordered[rank]
    return low, (1 - share) * ordered[-rank] + share * ordered[-rank - 1]


@lru_cache(maxsize=4096)
def _ranks(count: int, confidence: float) -> tuple[int, float]:
    """Return the outer order statistic's rank (0: none is far enough) and the inner one's weight.

    Equation 2 of the paper named above.
    """
    outside, rank, outer = 2, 1, 1 - 2 / 2**count
    if outer < confidence:
        return 0, 0.0
    while True:
        outside += 2 * comb(count, rank)
        inner = 1 - outside / 2**count
        if inner < confidence:
            break
        outer, rank = inner, rank + 1
    excess = (outer - confidence) / (outer - inner)
    return rank, (count - rank) * excess / (rank + (count - 2 * rank) * excess)


def relative_half_width(low: float, median: float, high: float) -> float:
    """Return half the width of an interval as a fraction of the median."""
    return (high - low) / 2 / median if median else 0.0


def precision(rounds: Rounds, processes: Sequence[int] = ()) -> float:
    """Return the relative half width of the median's interval: see `units`."""
    values = units(rounds, processes)
    low, high = median_interval(values)
    return relative_half_width(low, float(np.median(values)), high)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is ever asked of a record's samples: `medians` and `p90s` are of its units of inference,
    `rounds` are the medians of all rounds.
    """

    rounds: Floats
    medians: Floats
    p90s: Floats
    summary: Summary


def summary(record: Record) -> Summary | None:
    """Return the summary of a record, or None if it holds no samples."""
    return found.summary if (found := figures(record)) else None


def figures(record: Record) -> Figures | None:
    """Return the figures of a record, None if it holds no samples; every round is sorted once."""
    if not record.rounds:
        return None
    ordered = [sorted(samples) for samples in record.rounds]
    rounds = np.array([_median(samples) for samples in ordered], dtype=np.float64)
    tails = np.array([s[_rank(len(s), 0.9)] for s in ordered], dtype=np.float64)
    values = by_process(rounds, record.processes)
    return Figures(
        rounds=rounds,
        medians=values,
        p90s=by_process(tails, record.processes),
        summary=_summary(record, values, sorted(chain.from_iterable(ordered))),
    )


def _summary(record: Record, values: Floats, samples: Sequence[int]) -> Summary:
    low, high = median_interval(values)
    return Summary(
        load_ns=record.load_ns,
        first_ns=record.first_ns,
        p50_ns=_median(sorted(values.tolist())),
        low_ns=low,
        high_ns=high,
        p90_ns=samples[_rank(len(samples), 0.90)],
        p99_ns=samples[_rank(len(samples), 0.99)],
        samples=len(samples),
        rounds=len(record.rounds),
        processes=max(1, len(record.processes)),
    )
