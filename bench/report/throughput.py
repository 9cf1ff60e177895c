"""The table of throughput: inferences per second by threads, batch and streams."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.measurement import STREAMS
from bench.report.document import Cell, Column, Table, figure
from bench.report.lines import lines
from bench.rows import Row

NOTE = (
    "inferences/s: median of samples per second, and its 95 % interval; batch x invocations by the "
    "time of one stream's invocations, or the time in which all of several were at work"
)


def rates(rows: Sequence[Row]) -> Table | None:
    """Return a line for each measurement of which the throughput was asked, None of none."""
    columns = tuple(map(Column, ("inferences/s", "interval", "p50 of one")))
    return lines("Throughput", columns, rows, _figures)


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the figures mean."""
    if any(_asked(row) for row in rows):
        yield NOTE
    if any((row.streams or 1) > 1 for row in rows):
        yield f"streams: {STREAMS}; the times of single inferences are those under this load"


def _asked(row: Row) -> bool:
    return row.streams is not None and row.throughput is not None


def _figures(row: Row) -> Iterator[tuple[Cell, ...]]:
    rate = row.throughput
    if rate is not None and _asked(row):
        yield (
            figure(rate.per_s, units.count),
            Cell(f"{units.count(rate.low)} to {units.count(rate.high)}"),
            figure(row.p50_ns, units.duration),
        )
