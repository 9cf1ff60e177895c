"""The table of memory: how much is resident when, and of what kind it is after the runs."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.report.document import Cell, Column, Table, figure
from bench.report.lines import lines
from bench.rows import Row

# Of every process; a runtime's and a device's own kinds follow, where they are told.
TITLES = ("before load", "after load", "after runs", "peak", "private", "mapped")


def memory_kinds(rows: Sequence[Row]) -> Table | None:
    """Return a line for each measurement, None where only the peak is known."""
    kinds = dict.fromkeys(kind.name for row in rows for kind in row.memory_series)
    further = [name for name in kinds if name not in ("resident", *TITLES)]
    titles = (*TITLES, *further)
    title = "Memory: resident before load, after load and after the runs; kinds after the runs"

    def figures(row: Row) -> Iterator[tuple[Cell, ...]]:
        if row.memory_series:
            yield tuple(_kinds(row, titles))

    return lines(title, tuple(map(Column, titles)), rows, figures)


def _kinds(row: Row, titles: Sequence[str]) -> Iterator[Cell]:
    kinds = {kind.name: kind for kind in row.memory_series}
    moments = ("before_load", "after_load", "after_run")
    known = [getattr(kinds.get("resident"), moment, None) for moment in moments]
    known.append(row.memory_after_run)
    known += [getattr(kinds.get(name), "after_run", None) for name in titles[len(known) :]]
    yield from (figure(size, units.size) for size in known)


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what each kind of memory means."""
    for definition in sorted({row.memory_definition for row in rows if row.memory_definition}):
        yield f"memory (peak): {definition}"
    series = {kind.name: kind.definition for row in rows for kind in row.memory_series}
    yield from (f"memory ({name}): {meaning}" for name, meaning in series.items())
