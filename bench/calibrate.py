"""Measuring a device's noise: one artifact against itself, in run after run.

Every run opens two workers of the same artifact and interleaves them as `bench.run` does any two,
until it would stop by itself. Within a run the two are compared process by process (or round by
round, of one process each); and one of each run with that of the next, as a gate compares with its
baseline.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import ClassVar

from bench import noise
from bench.compare import sides
from bench.lanes import run_held
from bench.matrix import Cell
from bench.measurement import Stage, tool_version
from bench.noise import NoiseProfile
from bench.reading import readings
from bench.record import BenchError, Record
from bench.verdict import verdict

# Runs that other verdicts mark as noisy are marked in a comparison too: they are no measure of what
# a sound one may hide.
SOUND = ("valid", "unproved")
# So many runs for each that is sound, and the device is given up.
PATIENCE = 3
# Called before every run with the number of runs so far, of those that count, and the seconds left.
Told = Callable[[int, int, float], None]
# Called with a line about the run itself, as that the link broke.
Note = Callable[[str], None]


class UnmeasurableError(BenchError):
    """The artifact cannot be measured on this device, so neither can its noise."""

    exit_code: ClassVar[int] = 3


@dataclass
class _Kept:
    """Keeps the records of one run."""

    note: Note
    records: list[Record] = field(default_factory=list)

    def progress(self, cell: Cell, stage: Stage, rounds: Sequence[Sequence[int]]) -> None:
        """Follow nothing: a run takes seconds."""

    def record(self, cell: Cell, record: Record) -> None:
        """Keep a record."""
        self.records.append(record)


def calibrate(cell: Cell, seconds: float, told: Told, note: Note) -> NoiseProfile:
    """Compare an artifact with itself for that long, and reduce it to the device's noise.

    A run that the link to the device broke off is made again.

    Args:
        cell: the artifact, device and settings; each run has the seed after the last one's.
        seconds: the last run begins before they are over, but there are always enough for
            `noise.LEAST` comparisons of either kind.
        told: follows.
        note: gets what is to be told besides.

    Raises:
        UnmeasurableError: a run failed or computed wrong answers, or few were sound.
        DeviceError: the device could not be set aside.
    """
    end = time.monotonic() + seconds
    runs: list[list[Record]] = []
    count = 0
    while (left := end - time.monotonic()) > 0 or len(runs) <= noise.LEAST:
        if count >= PATIENCE * noise.LEAST and count > PATIENCE * len(runs):
            raise UnmeasurableError(_too_busy(cell, count, len(runs)))
        told(count, len(runs), max(left, 0.0))
        run = _twice(replace(cell, effort=replace(cell.effort, seed=count)), note)
        count += 1
        if all(verdict(record).word in SOUND for record in run):
            runs.append(run)
    return profile(cell, runs)


def _too_busy(cell: Cell, count: int, kept: int) -> str:
    return (
        f"{kept} of {count} runs of {cell.name} were good enough to count; "
        "stop other programs that use the processor, and type 'bench run' to see what is wrong"
    )


def profile(cell: Cell, runs: Sequence[Sequence[Record]]) -> NoiseProfile:
    """Reduce runs of two records each: see `noise.spread`."""
    read = [list(readings(run)) for run in runs]
    within = [sides(one, other) for one, other in read]
    between = [sides(run[0], after[0]) for run, after in pairwise(read)]
    return NoiseProfile(
        schema=noise.SCHEMA,
        fingerprint=cell.target.info.fingerprint,
        device=cell.target.info.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool_version=tool_version(),
        artifact=cell.artifact.manifest.key,
        runtime=cell.runtime or "",
        threads=cell.threads,
        processes=cell.effort.processes,
        within=noise.spread(within),
        between=noise.spread(between),
    )


def _twice(cell: Cell, note: Note) -> list[Record]:
    kept = _Kept(note)
    run_held([cell, cell], kept, together=True)
    for record in kept.records:
        if not record.rounds or record.failure is not None:
            raise UnmeasurableError(
                f"{cell.name} cannot be measured: {verdict(record).evidence}; "
                f"see 'bench run --artifact {cell.artifact.manifest.key}'"
            )
    return kept.records
