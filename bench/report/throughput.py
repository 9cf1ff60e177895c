"""The table of throughput: inferences per second by threads, batch and streams."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.measurement import STREAMS
from bench.report.document import Cell, Column, Table, figure, word
from bench.rows import Row, label, varying

NOTE = (
    "inferences/s: median of samples per second, and its 95 % interval; batch x invocations by the "
    "time of one stream's invocations, or the time in which all of several were at work"
)


def rates(rows: Sequence[Row]) -> Table | None:
    """Return a row for each measurement of which the throughput was asked, None of none."""
    found = _asked(rows)
    if not found:
        return None
    names = varying(rows)
    left = (Column("network", right=False), Column("artifact", right=False))
    return Table(
        title="Throughput",
        columns=(*left, *map(Column, ("inferences/s", "interval", "p50 of one"))),
        rows=tuple((word(row.model), word(label(row, names)), *_figures(row)) for row in found),
        nested=True,
    )


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the figures mean."""
    if _asked(rows):
        yield NOTE
    if any((row.streams or 1) > 1 for row in rows):
        yield f"streams: {STREAMS}; the times of single inferences are those under this load"


def _asked(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.streams is not None and row.throughput]


def _figures(row: Row) -> Iterator[Cell]:
    rate = row.throughput
    assert rate is not None
    yield figure(rate.per_s, units.count)
    yield Cell(f"{units.count(rate.low)} to {units.count(rate.high)}")
    yield figure(row.p50_ns, units.duration)
