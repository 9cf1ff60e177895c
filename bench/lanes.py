"""Machines side by side, each with its share of the matrix; and what is done when a link fails.

A lane is a machine's cells, measured one group after the other; lanes run in a thread each. A group
that the link to the device broke off is measured again, twice at most, once the device answers, and
so is what is compared with it. If that was in vain the device is set aside: what it has left to
measure becomes failures, and the other machines go on.
"""

import threading
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import count
from typing import Protocol
from uuid import uuid4

from bench.accuracy import AccuracyTest
from bench.matrix import Cell, Hold, Target, groups, inseparable
from bench.measurement import Measurement, Stage
from bench.record import Failure, Record
from bench.run import Listener, measure_group
from devices import lock, process, quarantine
from devices.device import TRANSPORT, DeviceError
from devices.local import LocalDevice

# Seconds before each further attempt: a dropped link is often back at once, a rebooted board in a
# while.
PAUSES_S = (1.0, 20.0)
# Every worker is asked to close, and has some seconds for it.
JOIN_S = 30.0


class Follower(Listener, Protocol):
    """Whoever follows several machines."""

    def note(self, text: str) -> None:
        """Called with one line about the run itself."""


def run_lanes(
    cells: Iterable[Cell],
    follower: Follower,
    accuracy: AccuracyTest | None,
    hold: Hold,
    *,
    mixed: bool = False,
    together: bool = False,
    pauses_s: Sequence[float] = PAUSES_S,
) -> list[DeviceError]:
    """Measure every cell, those of one machine one after the other, machines side by side.

    What is finished is recorded, also when it is interrupted: see `bench.run.run_matrix`.

    Args:
        cells: what to measure; each machine's are measured in this order.
        follower: told from several threads, but never at the same time.
        accuracy: the images, if any.
        hold: takes a machine.
        mixed: see `bench.matrix.groups`.
        together: all of a group are compared with one another, so none is measured again alone.
        pauses_s: before each further attempt after a broken link.

    Returns:
        Why machines could not be taken; nothing was measured on them.
    """
    by_machine: dict[str, list[Cell]] = {}
    for cell in cells:
        by_machine.setdefault(lock.machine(cell.target.device), []).append(cell)
    # Workers of this machine end with their host only if its main thread has started them.
    machines = sorted(by_machine, key=lambda machine: machine != LocalDevice.machine)
    lanes = _Lanes(follower, accuracy, hold, pauses_s, together=together)
    lanes.run([list(groups(by_machine[machine], mixed=mixed)) for machine in machines])
    return lanes.refusals


def run_held(
    cells: Iterable[Cell],
    follower: Follower,
    accuracy: AccuracyTest | None = None,
    *,
    mixed: bool = False,
    together: bool = False,
) -> None:
    """Measure on one machine that is taken already; see `run_lanes`.

    Raises:
        DeviceError: it could not be set aside.
    """
    held = run_lanes(
        cells, follower, accuracy, lambda _: nullcontext(), mixed=mixed, together=together
    )
    for refusal in held:
        raise refusal


class _Party:
    """Cells that are compared with one another, and their records so far."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.records: list[tuple[Cell, Record]] = []

    @property
    def is_broken(self) -> bool:
        """Tell whether the link broke one of them off."""
        return any(_is_broken(record) for _, record in self.records)


class _Attempt:
    """Follows a group once, and keeps the records of those that the link broke off, and of what is
    compared with them.
    """

    def __init__(self, lanes: "_Lanes", parties: Sequence[Sequence[Cell]]) -> None:
        self.broken: list[tuple[Cell, Record]] = []
        self.progress = lanes.progress
        self._lanes = lanes
        made = [_Party(cells) for cells in parties]
        self._parties = {id(cell): party for party in made for cell in party.cells}

    def record(self, cell: Cell, record: Record) -> None:
        """Keep what may be measured again; pass the rest on, once all of its party are in."""
        party = self._parties[id(cell)]
        party.records.append((cell, record))
        if len(party.records) < len(party.cells):
            return
        if party.is_broken:
            self.broken += party.records
            return
        for each in party.records:
            self._lanes.record(*each)


class _Lanes:
    """Lanes at work; follows each of them and tells the follower in turn."""

    def __init__(
        self,
        follower: Follower,
        accuracy: AccuracyTest | None,
        hold: Hold,
        pauses_s: Sequence[float],
        *,
        together: bool,
    ) -> None:
        self.refusals: list[DeviceError] = []
        self._follower, self._accuracy, self._hold = follower, accuracy, hold
        self._pauses_s, self._together = pauses_s, together
        self._run, self._numbers = uuid4().hex, count()
        self._turn, self._stopped = threading.Lock(), threading.Event()
        self._errors: list[Exception] = []

    def run(self, lanes: Sequence[Sequence[list[Cell]]]) -> None:
        """Measure the first lane in this thread, which an interrupt reaches, the others beside."""
        threads = [
            threading.Thread(target=self._beside, args=(lane,), daemon=True) for lane in lanes[1:]
        ]
        for thread in threads:
            thread.start()
        try:
            for lane in lanes[:1]:
                self._measure(lane)
            for thread in threads:
                thread.join()
        except BaseException:
            self._stop()
            for thread in threads:
                thread.join(JOIN_S)
            if not self._errors:
                raise
        for error in self._errors:
            raise error

    def _stop(self) -> None:
        """Have every lane end as by an interrupt."""
        self._stopped.set()
        process.interrupt()

    def _beside(self, lane: Sequence[list[Cell]]) -> None:
        try:
            self._measure(lane)
        except KeyboardInterrupt:
            return
        except Exception as error:
            self._errors.append(error)
            self._stop()

    def _measure(self, lane: Sequence[list[Cell]]) -> None:
        try:
            with self._hold(lane[0][0].target.device):
                aside: str | None = None
                for group in lane:
                    aside = self._give_up(group, aside) if aside else self._group(group)
        except DeviceError as error:
            self.refusals.append(error)

    def _group(self, group: list[Cell]) -> str | None:
        """Measure a group, again where the link broke; return why its machine is set aside now."""
        target, broken = group[0].target, self._attempt(group)
        why = _why(broken)
        for pause in self._pauses_s:
            if not broken:
                return None
            self.note(f"{target.info.name}: {why}; trying again in {pause:g} s")
            if self._stopped.wait(pause):
                raise KeyboardInterrupt
            why = _absence(target)
            if not why:
                again = {id(cell) for cell, _ in broken}
                broken = self._attempt([cell for cell in group if id(cell) in again])
                why = _why(broken)
        for cell, record in broken:
            self.record(cell, record)
        return self._set_aside(target, why) if broken else None

    def _attempt(self, group: list[Cell]) -> list[tuple[Cell, Record]]:
        parties = [group] if self._together else list(inseparable(group))
        attempt, number = _Attempt(self, parties), next(self._numbers)
        measurements = [Measurement(cell, self._run, number) for cell in group]
        measure_group(measurements, attempt, self._accuracy)
        return attempt.broken

    def _set_aside(self, target: Target, why: str) -> str:
        times = 1 + len(self._pauses_s)
        reason = f"the link to it broke {times} times in a row: {why}"
        quarantine.put(target.device, reason)
        self.note(f"{target.info.name} is set aside: {reason}")
        return reason

    def _give_up(self, group: list[Cell], reason: str) -> str:
        number = next(self._numbers)
        for cell in group:
            failure = Failure(stage="start", cause="quarantined", detail=reason)
            self.record(cell, Measurement(cell, self._run, number, stop="failed").record(failure))
        return reason

    def progress(self, cell: Cell, stage: Stage, rounds: Sequence[Sequence[int]]) -> None:
        """Pass on, one lane at a time; end a lane that is to stop."""
        if self._stopped.is_set():
            raise KeyboardInterrupt
        with self._turn:
            self._follower.progress(cell, stage, rounds)

    def record(self, cell: Cell, record: Record) -> None:
        """Pass on, one lane at a time; what fails once all are to stop is no fault of its own."""
        if self._stopped.is_set() and record.failure is not None:
            raise KeyboardInterrupt
        with self._turn:
            self._follower.record(cell, record)

    def note(self, text: str) -> None:
        """Pass on, one lane at a time."""
        with self._turn:
            self._follower.note(text)


def _is_broken(record: Record) -> bool:
    return record.failure is not None and record.failure.cause == TRANSPORT


def _why(broken: Sequence[tuple[Cell, Record]]) -> str:
    """Return what the link broke the first of them off by, nothing if there is none."""
    return next((r.failure.detail for _, r in broken if r.failure and _is_broken(r)), "")


def _absence(target: Target) -> str:
    """Return why a device cannot be measured on again; nothing if it answers and is the same."""
    try:
        found = target.device.info()
    except DeviceError as error:
        return str(error)
    return "" if found.fingerprint == target.info.fingerprint else "another device answers there"
