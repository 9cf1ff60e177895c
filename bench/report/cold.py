"""The table of cold starts: what a fresh process takes until its first answer."""

from collections.abc import Sequence

from bench import units
from bench.report.document import Cell, Column, Table, figure, word
from bench.rows import Row, label, varying

TITLES = ("start", "import", "load", "first", "together", "range")
NOTE = (
    "cold start: medians over fresh processes; start: the process, Python and numpy; import: the "
    "runtime; load: from the file to a runtime ready to be invoked; first: the first inference; "
    "warm file cache (the file had been read before)"
)


def cold_starts(rows: Sequence[Row]) -> Table | None:
    """Return a row for each measurement that has cold starts, None if none has."""
    found = [row for row in rows if row.cold]
    if not found:
        return None
    columns = (Column("network", right=False), Column("artifact", right=False))
    names = varying(found)
    return Table(
        title="Cold start (warm file cache)",
        columns=(*columns, *map(Column, TITLES)),
        rows=tuple((word(row.model), word(label(row, names)), *_figures(row)) for row in found),
        nested=True,
    )


def _figures(row: Row) -> tuple[Cell, ...]:
    cold = row.cold
    assert cold is not None
    steps = (cold.start_ns, cold.import_ns, cold.load_ns, cold.first_ns, cold.total_ns)
    span = f"{units.duration(cold.least_ns)} to {units.duration(cold.most_ns)}"
    return (*(figure(step, units.duration) for step in steps), Cell(f"{span} ({cold.processes})"))
