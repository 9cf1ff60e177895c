"""The table of cold starts: what a fresh process takes until its first answer."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.report.document import Cell, Column, Table, figure
from bench.report.lines import lines
from bench.rows import Row

TITLES = ("start", "import", "load", "first", "together", "range")
NOTE = (
    "cold start: medians over fresh processes; start: the process, Python and numpy; import: the "
    "runtime; load: from the file to a runtime ready to be invoked; first: the first inference; "
    "warm file cache (the file had been read before)"
)


def cold_starts(rows: Sequence[Row]) -> Table | None:
    """Return a line for each measurement that has cold starts, None if none has."""
    return lines("Cold start (warm file cache)", tuple(map(Column, TITLES)), rows, _figures)


def _figures(row: Row) -> Iterator[tuple[Cell, ...]]:
    cold = row.cold
    if cold is not None:
        steps = (cold.start_ns, cold.import_ns, cold.load_ns, cold.first_ns, cold.total_ns)
        show = units.rounded(row.counts)
        span = f"{show(cold.least_ns)} to {show(cold.most_ns)}"
        yield (*(figure(s, show) for s in steps), Cell(f"{span} ({cold.processes})"))
