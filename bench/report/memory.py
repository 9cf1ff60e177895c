"""The table of memory: how much is resident when, and of what kind it is after the runs."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.report.document import Cell, Column, Table, figure, word
from bench.rows import Row, label, varying

# Beside those of every process: a device's own, where it tells.
PROCESS_KINDS = ("resident", "private", "mapped")
TITLES = ("before load", "after load", "after runs", "peak", "private", "mapped")


def memory_kinds(rows: Sequence[Row]) -> Table | None:
    """Return a row for each measurement, None where only the peak is known."""
    found = [row for row in rows if row.memory_series]
    if not found:
        return None
    names = varying(found)
    further = list(dict.fromkeys(k.name for r in found for k in r.memory_series))
    further = [name for name in further if name not in PROCESS_KINDS]
    left = (Column("network", right=False), Column("artifact", right=False))
    return Table(
        title="Memory: resident before load, after load and after the runs; kinds after the runs",
        columns=(*left, *map(Column, (*TITLES, *further))),
        rows=tuple(
            (word(row.model), word(label(row, names)), *_kinds(row, further)) for row in found
        ),
        nested=True,
    )


def _kinds(row: Row, further: Sequence[str]) -> Iterator[Cell]:
    kinds = {kind.name: kind for kind in row.memory_series}
    resident, private, mapped = (kinds.get(name) for name in PROCESS_KINDS)
    moments = ("before_load", "after_load", "after_run")
    known = [getattr(resident, moment, None) for moment in moments]
    known += [row.memory_after_run, getattr(private, "after_run", None)]
    known += [getattr(kind, "after_run", None) for kind in (mapped, *map(kinds.get, further))]
    yield from (figure(size, units.size) for size in known)


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what each kind of memory means."""
    for definition in sorted({row.memory_definition for row in rows if row.memory_definition}):
        yield f"memory (peak): {definition}"
    series = {kind.name: kind.definition for row in rows for kind in row.memory_series}
    yield from (f"memory ({name}): {meaning}" for name, meaning in series.items())
