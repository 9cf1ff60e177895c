"""Following a run: records to the file as they come, and to the screen how far it is."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID, TextColumn

from bench import record_file, stats, units
from bench.matrix import Cell
from bench.measurement import Stage
from bench.record import Record
from bench.rows import rows
from devices import sending


class Follower:
    """Appends every record to a file, and tells a person on stderr.

    On a terminal each artifact being measured has a live line, drawn between the rounds by the
    measuring thread itself, so that drawing never coincides with a measurement. Elsewhere there is
    one plain line for each record.
    """

    def __init__(self, out: Path, total: int) -> None:
        self.records: list[Record] = []
        self._out, self._total = out, total
        self._tasks: dict[int, TaskID] = {}
        # How many rounds there were when each process began.
        self._begun: dict[int, list[int]] = {}
        self._screen = Console(stderr=True)
        self._shown = ExitStack()
        # By the threads that tell: devices side by side are sent to at the same time.
        self._sending: dict[int, TaskID] = {}
        self._live = Progress(
            TextColumn("{task.description}"),
            TextColumn("[cyan]{task.fields[stage]}"),
            TextColumn("{task.fields[figures]}"),
            console=self._screen,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            disable=not self._screen.is_terminal,
        )

    def __enter__(self) -> Self:
        self._live.start()
        self._shown.enter_context(sending.shown(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shown.close()
        self._live.stop()

    def progress(self, cell: Cell, stage: Stage, rounds: Sequence[Sequence[int]]) -> None:
        """Show what is about to be done."""
        if self._live.disable:
            return
        begun = self._begun.setdefault(id(cell), [])
        if stage == "load":
            begun.append(len(rounds))
        if id(cell) not in self._tasks:
            name = escape(cell.name)
            self._tasks[id(cell)] = self._live.add_task(name, total=None, stage="", figures="")
        figures = _so_far(
            rounds, [b - a for a, b in pairwise((*begun, len(rounds))) if b > a], cell
        )
        self._live.update(self._tasks[id(cell)], stage=stage, figures=figures, refresh=True)

    def note(self, text: str) -> None:
        """Tell something about the run itself."""
        self._say(text)

    @property
    def is_live(self) -> bool:
        """Tell whether there are live lines."""
        return not self._live.disable

    def live(self, text: str) -> None:
        """Show what is being sent to a device, below the others, until that is over."""
        here = threading.get_ident()
        if not text:
            self._live.remove_task(self._sending.pop(here))
            self._live.refresh()
            return
        if here not in self._sending:
            self._sending[here] = self._live.add_task("", total=None, stage="", figures="")
        self._live.update(self._sending[here], description=escape(text), refresh=True)

    def record(self, cell: Cell, measured: Record) -> None:
        """Keep a record, on the disk first."""
        record_file.append(self._out, measured)
        self.records.append(measured)
        if id(cell) in self._tasks:
            self._live.remove_task(self._tasks.pop(id(cell)))
            self._begun.pop(id(cell))
            self._live.refresh()
        self._say(f"[{len(self.records)}/{self._total}] {cell.name}: {_outcome(measured)}")

    def _say(self, line: str) -> None:
        if self._live.disable:
            click.echo(line, err=True)
        else:
            self._screen.print(line, markup=False, highlight=False)


def _so_far(rounds: Sequence[Sequence[int]], processes: Sequence[int], cell: Cell) -> str:
    """Return the median, and its interval as soon as there is one that means something."""
    if len(rounds) < 2:
        return ""
    several = cell.processes > 1
    made, least = (
        (len(processes), stats.MIN_PROCESSES) if several else (len(rounds), stats.MIN_ROUNDS)
    )
    typical = units.measured(cell.target.info.counts)(median(stats.medians(rounds)))
    interval = f" ± {stats.precision(rounds, processes):.1%}" if made >= least else ""
    counted = f"{len(processes)} processes, " if several else ""
    return f"{typical}{interval}, {counted}{len(rounds)} rounds"


def _outcome(measured: Record) -> str:
    (row,) = rows([measured])
    if row.p50_ns is None:
        return f"{row.verdict}: {row.evidence}"
    typical = "" if row.counts else f"{units.duration(row.p50_ns)} "
    return f"{row.verdict}, {typical}{row.evidence}"
