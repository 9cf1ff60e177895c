"""Two artifacts side by side until it is clear whether the second is slower than it may be."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from bench import noise, sequential, stats
from bench.conditions import name
from bench.lanes import Follower, run_held
from bench.matrix import Cell
from bench.measurement import Stage
from bench.record import BenchError, Record
from bench.sequential import Answer
from bench.verdict import verdict

# What such a record says of its figures keeps them from being judged.
UNJUDGED = ("failed", "unproved", "emulated")


class UndecidableError(BenchError):
    """One of the two could not be measured, or not be proved right."""

    exit_code: ClassVar[int] = 3


class WrongError(UndecidableError):
    """One of the two computes something else than its original."""

    exit_code: ClassVar[int] = 1


class Duel(msgspec.Struct, frozen=True, kw_only=True):
    """Whether `now` takes longer than `before` by more than `limit`, and what that rests on.

    `ratio` is now/before, between `low` and `high` with probability 99 % at every look at once.
    `limit` is what was asked for, or the device's noise within one run (`floor`, None: not known)
    where that is larger. `processes` and `rounds` are those of each, `spent` is the share of the
    allowed time that the slower one took.
    """

    before: str
    now: str
    word: Answer
    ratio: float
    low: float
    high: float
    limit: float
    floor: float | None
    processes: int
    rounds: int
    spent: float

    @property
    def exit_code(self) -> int:
        """Return 0 within the limit, 1 if slower, 3 undecided."""
        return {"within": 0, "slower": 1, "undecided": 3}[self.word]


def floor(cell: Cell) -> float | None:
    """Return the noise between two measurements in one run on a cell's device, None: not known."""
    known = noise.read(cell.target.info.fingerprint)
    fits = known and (known.processes > 1) == (cell.effort.processes > 1)
    return known.within.floor if known and fits else None


class _Both:
    """Passes on what is told of a run, and keeps both records."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.records: dict[int, Record] = {}

    def progress(self, cell: Cell, stage: Stage, rounds: Sequence[Sequence[int]]) -> None:
        """Pass on."""
        self._follower.progress(cell, stage, rounds)

    def note(self, text: str) -> None:
        """Pass on."""
        self._follower.note(text)

    def record(self, cell: Cell, record: Record) -> None:
        """Keep and pass on."""
        self.records[id(cell)] = record
        self._follower.record(cell, record)


def fight(before: Cell, now: Cell, follower: Follower) -> Duel:
    """Measure two cells of one setting until it is decided, or the time is up; both again where the
    link to the device broke.

    Args:
        before: what is held to be quick enough.
        now: what may be slower; both have an effort with `max_slowdown`.
        follower: gets the record of `now` last.

    Raises:
        WrongError: an answer was wrong.
        UndecidableError: a worker failed, or nothing proved an answer.
        DeviceError: the device could not be set aside.
    """
    both = _Both(follower)
    run_held([before, now], both, together=True)
    one, other = (both.records[id(cell)] for cell in (before, now))
    for record in (one, other):
        _check(record)
    return _outcome(one, other, now)


def _check(record: Record) -> None:
    found = verdict(record)
    if found.word == "wrong":
        raise WrongError(f"{name(record)}: its proof failed: {found.evidence}")
    if found.word in UNJUDGED:
        raise UndecidableError(f"{name(record)}: {found.word}: {found.evidence}")


def _outcome(before: Record, now: Record, cell: Cell) -> Duel:
    one, other = (stats.units(r.rounds, r.processes) for r in (before, now))
    limit = cell.effort.max_slowdown or 0.0
    found = sequential.decide(one, other, limit)
    slowest = max(sum(map(sum, record.rounds)) for record in (before, now))
    return Duel(
        before=name(before),
        now=name(now),
        word=found.word,
        ratio=found.ratio,
        low=found.low,
        high=found.high,
        limit=limit,
        floor=floor(cell),
        processes=max(1, min(len(before.processes), len(now.processes))),
        rounds=min(len(before.rounds), len(now.rounds)),
        spent=slowest / 1e9 / cell.effort.max_seconds,
    )
