"""Statistics of one record: what its samples say, and how sure that is.

The unit of inference is the process, or the round where there was only one process, and never the
sample: invocations made one after another share the processor's frequency, its caches and its
neighbours, so a thousand samples of one round are one piece of evidence. Everything here is pure,
and computed from the record alone.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from math import ceil, comb, isnan, sqrt
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt

from bench.record import Record
from bench.stacks import Number, stacks, stretches

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Rounds = Sequence[Sequence[int]]

MIN_ROUNDS = 10
# Fewer values have no 95 % interval of their median: see `median_interval`.
MIN_PROCESSES = 6
CONFIDENCE = 0.95


class Summary(msgspec.Struct, frozen=True, kw_only=True):
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
    return _of_rounds(*_flat(rounds))[0]


def p90s(rounds: Rounds) -> Floats:
    """Return the 90th percentile of each round by the rule of `quantile`, shape (rounds,)."""
    return _of_rounds(*_flat(rounds))[1]


def _flat(rounds: Rounds) -> tuple[Integers, list[int]]:
    """Return the samples of all rounds one after the other, and how many each has."""
    lengths = [*map(len, rounds)]
    return np.fromiter(chain.from_iterable(rounds), np.int64, sum(lengths)), lengths


def _of_rounds(samples: Integers, lengths: Sequence[int]) -> tuple[Floats, Floats]:
    """Return the median and the 90th percentile of each round."""
    found = np.empty((2, len(lengths)))
    for numbers, parts in stacks(samples, lengths):
        ordered = np.sort(parts, axis=-1)
        found[:, numbers] = _middle(ordered), ordered[:, _rank(ordered.shape[-1], 0.9)]
    return found[0], found[1]


@lru_cache(maxsize=4096)
def _rank(count: int, fraction: float) -> int:
    """Return the index of a quantile; the share is rounded, as 0.7 of 10 is a little above 7."""
    return ceil(round(fraction * count, 9)) - 1


def _middle(ordered: npt.NDArray[Number]) -> Floats:
    """Return the median on the last axis of what is in order there."""
    count = ordered.shape[-1]
    both = ordered[..., (count - 1) // 2] + ordered[..., count // 2]
    return np.asarray(both / 2, dtype=np.float64)


def median_of_known(values: Floats) -> Floats:
    """Return the median on the last axis of what is no NaN there, NaN where nothing is."""
    ordered = np.sort(values, axis=-1)  # NaN comes last
    known = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    below, above = np.maximum(known - 1, 0) // 2, known // 2
    both = [np.take_along_axis(ordered, at, axis=-1)[..., 0] for at in (below, above)]
    return np.asarray((both[0] + both[1]) / 2, dtype=np.float64)


def known(value: float) -> float | None:
    """Return a figure, None for NaN."""
    return None if isnan(value) else value


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
    return _of_units(values, _made(len(values), processes))


def _made(rounds: int, processes: Sequence[int]) -> Sequence[int]:
    """Return how many rounds make a unit of inference, for each."""
    return processes if len(processes) > 1 else (1,) * rounds


def _of_units(values: Floats, made: Sequence[int]) -> Floats:
    """Return the median of each unit; the values themselves where each is one."""
    if max(made, default=1) == 1:
        return values
    found = np.empty(len(made))
    for numbers, parts in stacks(values, made):
        found[numbers] = _middle(np.sort(parts, axis=-1))
    return found


def typical(runs: Sequence[Rounds]) -> list[float | None]:
    """Return, of each run, the median of the medians of its rounds, None of one without rounds."""
    values = medians([each for rounds in runs for each in rounds])
    made = iter(_of_units(values, [len(rounds) for rounds in runs if rounds]).tolist())
    return [next(made) if rounds else None for rounds in runs]


def median_interval(values: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the median of independent `values`, whatever they are drawn from.

    Between order statistics, interpolated (Hettmansperger and Sheather 1986): closed, so that a
    hundred thousand records need no resampling. Fewer than six values give the least and the
    largest, which hold the median less often than that.
    """
    low, high = _bounds(np.sort(values))
    return float(low), float(high)


def _bounds(ordered: Floats) -> tuple[Floats, Floats]:
    """Return the interval on the last axis of what is in order there: see `median_interval`."""
    rank, share = _ranks(ordered.shape[-1], CONFIDENCE)
    if rank == 0:
        return ordered[..., 0], ordered[..., -1]
    low = (1 - share) * ordered[..., rank - 1] + share * ordered[..., rank]
    return low, (1 - share) * ordered[..., -rank] + share * ordered[..., -rank - 1]


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


def binomial_interval(count: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson's score (1927, JASA 22)."""
    z = NormalDist().inv_cdf(0.975)
    share, weight = count / of, z * z / of
    middle = (share + weight / 2) / (1 + weight)
    half = z * sqrt(share * (1 - share) / of + weight / (4 * of)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


def relative_half_width(low: float, median: float, high: float) -> float:
    """Return half the width of an interval as a fraction of the median."""
    return (high - low) / 2 / median if median else 0.0


def precision(rounds: Rounds, processes: Sequence[int] = ()) -> float:
    """Return the relative half width of the median's interval: see `units`."""
    values = units(rounds, processes)
    low, high = median_interval(values)
    return relative_half_width(low, float(np.median(values)), high)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
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
    """Return the figures of a record, None if it holds no samples."""
    return all_figures([record])[0]


def all_figures(records: Sequence[Record]) -> list[Figures | None]:
    """Return the figures of each record, None of one without samples: see `bench.stacks`."""
    made = _figures([record for record in records if record.rounds])
    return [next(made) if record.rounds else None for record in records]


def _figures(records: Sequence[Record]) -> Iterator[Figures]:
    samples, lengths = _flat([each for record in records for each in record.rounds])
    rounds, tails = _of_rounds(samples, lengths)
    made = [_made(len(record.rounds), record.processes) for record in records]
    every = [*chain.from_iterable(made)]
    values, p90s = _of_units(rounds, every), _of_units(tails, every)
    summaries = _summaries(records, samples, lengths, values, [*map(len, made)])
    places = stretches([len(record.rounds) for record in records])
    for known, place, units in zip(summaries, places, stretches([*map(len, made)]), strict=True):
        yield Figures(rounds=rounds[place], medians=values[units], p90s=p90s[units], summary=known)


def _summaries(
    records: Sequence[Record],
    samples: Integers,
    lengths: Sequence[int],
    values: Floats,
    units: Sequence[int],
) -> Iterator[Summary]:
    places = stretches([len(record.rounds) for record in records])
    totals = [sum(lengths[place]) for place in places]
    middles = _medians_between(values, units)
    tails = _tails(samples, totals)
    for record, total, (p50, low, high), (p90, p99) in zip(
        records, totals, middles, tails, strict=True
    ):
        yield Summary(
            load_ns=record.load_ns,
            first_ns=record.first_ns,
            p50_ns=p50,
            low_ns=low,
            high_ns=high,
            p90_ns=p90,
            p99_ns=p99,
            samples=total,
            rounds=len(record.rounds),
            processes=max(1, len(record.processes)),
        )


def _medians_between(values: Floats, units: Sequence[int]) -> list[list[float]]:
    """Return the median and the ends of its interval over the units of each record."""
    found = np.empty((3, len(units)))
    for numbers, parts in stacks(values, units):
        ordered = np.sort(parts, axis=-1)
        found[:, numbers] = _middle(ordered), *_bounds(ordered)
    return found.T.tolist()


def _tails(samples: Integers, totals: Sequence[int]) -> list[list[int]]:
    """Return the 90th and the 99th percentile of all samples of each record."""
    found = np.empty((2, len(totals)), dtype=np.int64)
    for numbers, parts in stacks(samples, totals):
        ordered, count = np.sort(parts, axis=-1), parts.shape[-1]
        found[:, numbers] = [ordered[:, _rank(count, share)] for share in (0.9, 0.99)]
    return found.T.tolist()
