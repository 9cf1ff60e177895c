"""Statistics of one record: what its samples say, how sure that is, and the verdict.

The unit of inference is the round, not the sample: invocations made one after another share the
processor's frequency, its caches and its neighbours, so a thousand samples of one round are one
piece of evidence. Everything here is pure, and computed from the record alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import ceil, comb
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench import units
from bench.record import Record

Floats = npt.NDArray[np.float64]
Rounds = Sequence[Sequence[int]]

MIN_ROUNDS = 10
CONFIDENCE = 0.95
# Steady state: see `is_steady`.
WINDOW = 6
DRIFT = 0.05
# More time than this many times the limit is no advice.
PATIENCE = 30

Word = Literal["valid", "noisy", "too short", "wrong", "unproved", "emulated", "failed"]


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


@dataclass(frozen=True)
class Verdict:
    """What a record is worth: one word, the evidence for it in one line, and what would help."""

    word: Word
    evidence: str
    advice: str | None = None


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


def precision(rounds: Rounds) -> float:
    """Return the relative half width of the median's interval over `rounds`."""
    values = medians(rounds)
    low, high = median_interval(values)
    return relative_half_width(low, float(np.median(values)), high)


def is_steady(blocks: Sequence[float], window: int = WINDOW, drift: float = DRIFT) -> bool:
    """Tell whether warm-up is over, from the medians of successive blocks of invocations.

    It is when, of the last `window` blocks, the median of the later half differs from that of the
    earlier half by at most `drift` of it. Medians of medians: single outliers do not count, while
    a clock that still rises or a cache that still fills moves one half against the other.
    """
    if len(blocks) < window:
        return False
    recent = np.asarray(blocks[-window:], dtype=np.float64)
    early, late = np.median(recent[: window // 2]), np.median(recent[window // 2 :])
    return bool(abs(late - early) <= drift * early)


def summary(record: Record) -> Summary | None:
    """Return the figures of a record, or None if it holds no samples."""
    if not record.rounds:
        return None
    values = medians(record.rounds)
    low, high = median_interval(values)
    samples = sorted(chain.from_iterable(record.rounds))
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
    )


def verdict(record: Record, figures: Summary | None = None) -> Verdict:
    """Judge a record; `figures` spares computing its summary again.

    A wrong answer comes before every other word, a failure next; then that the device is emulated,
    that nothing proved the answers, and only then whether the figures are sure enough.
    """
    if record.proof.verified is False:
        return _wrong(record)
    if record.failure is not None:
        failure = record.failure
        return Verdict("failed", f"{failure.stage}: {failure.cause}: {failure.detail}")
    figures = figures or summary(record)
    if figures is None:
        return Verdict("failed", "the record holds no samples", "measure it again")
    if record.device.emulated:
        return Verdict("emulated", "right answers, but the times of an emulator mean nothing")
    if record.proof.verified is None:
        return Verdict("unproved", record.proof.reason or "its answers were not compared")
    return _sureness(record, figures)


def _wrong(record: Record) -> Verdict:
    reason = record.proof.reason or "its answers differ from the original's"
    return Verdict("wrong", reason, "its times are void; export it again or use another runtime")


def _sureness(record: Record, figures: Summary) -> Verdict:
    target = record.settings.precision_target
    seen = f"{figures.rounds} rounds, {figures.samples} samples"
    if figures.rounds < MIN_ROUNDS:
        return Verdict(
            "too short",
            f"{seen}; an interval needs {MIN_ROUNDS} rounds",
            _more_time(record, MIN_ROUNDS / figures.rounds),
        )
    evidence = f"± {figures.half_width:.1%} over {seen}{_unsteady(record)}"
    if figures.half_width > target:
        return Verdict(
            "noisy",
            f"{evidence}; the target is {100 * target:.3g}%",
            _more_time(record, (figures.half_width / target) ** 2),
        )
    return Verdict("valid", evidence)


def _unsteady(record: Record) -> str:
    warm_up = record.warm_up
    if warm_up is None or warm_up.steady:
        return ""
    return f", not steady after {units.duration(warm_up.seconds * 1e9)} of warm-up"


def _more_time(record: Record, factor: float) -> str:
    """Name a limit that should do, as an interval narrows with the square root of the rounds."""
    quiet = "stop other programs that use the processor"
    if factor > PATIENCE:
        return quiet
    return f"--max-seconds {ceil(1.2 * factor * record.settings.max_seconds)} should do, or {quiet}"
