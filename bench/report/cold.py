"""The table of cold starts: what a fresh process takes until its first answer."""

from collections.abc import Callable, Iterator, Sequence

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
    timed = [row for row in rows if row.counts is None]
    return lines("Cold start (warm file cache)", tuple(map(Column, TITLES)), timed, _times)


def counted_starts(rows: Sequence[Row]) -> Table | None:
    """Return a line for each whose cold starts are counts, None if none has."""
    counted = [row for row in rows if row.counts is not None]
    title = f"Cold start, {' and '.join(sorted({row.counts or '' for row in counted}))} counted"
    return lines(title, tuple(map(Column, TITLES)), counted, _counts)


def _times(row: Row) -> Iterator[tuple[Cell, ...]]:
    return _figures(row, units.duration)


def _counts(row: Row) -> Iterator[tuple[Cell, ...]]:
    return _figures(row, units.count)


def _figures(row: Row, show: Callable[[float], str]) -> Iterator[tuple[Cell, ...]]:
    cold = row.cold
    if cold is not None:
        steps = (cold.start_ns, cold.import_ns, cold.load_ns, cold.first_ns, cold.total_ns)
        span = f"{show(cold.least_ns)} to {show(cold.most_ns)}"
        yield (*(figure(s, show) for s in steps), Cell(f"{span} ({cold.processes})"))
