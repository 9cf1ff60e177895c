"""The table of memory: how much is resident when, and of what kind it is after the runs."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.report.document import Cell, Column, Table, figure, word
from bench.rows import Row, label, varying

TITLES = ("before load", "after load", "after runs", "peak", "private", "mapped")


def memory_kinds(rows: Sequence[Row]) -> Table | None:
    """Return a row for each measurement, None where only the peak is known."""
    found = [row for row in rows if row.memory_series]
    if not found:
        return None
    names = varying(found)
    left = (Column("network", right=False), Column("artifact", right=False))
    return Table(
        title="Memory: resident before load, after load and after the runs; kinds after the runs",
        columns=(*left, *map(Column, TITLES)),
        rows=tuple((word(row.model), word(label(row, names)), *_kinds(row)) for row in found),
        nested=True,
    )


def _kinds(row: Row) -> Iterator[Cell]:
    kinds = {kind.name: kind for kind in row.memory_series}
    resident, private, mapped = (kinds.get(name) for name in ("resident", "private", "mapped"))
    moments = ("before_load", "after_load", "after_run")
    known = [getattr(resident, moment, None) for moment in moments]
    known += [row.memory_after_run, getattr(private, "after_run", None)]
    yield from (figure(size, units.size) for size in (*known, getattr(mapped, "after_run", None)))


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what each kind of memory means."""
    for definition in sorted({row.memory_definition for row in rows if row.memory_definition}):
        yield f"memory (peak): {definition}"
    series = {kind.name: kind.definition for row in rows for kind in row.memory_series}
    yield from (f"memory ({name}): {meaning}" for name, meaning in series.items())
