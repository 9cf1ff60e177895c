"""The table of MLPerf's scenarios."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.report.document import EMPTY, Cell, Column, Table, figure, word
from bench.report.lines import lines
from bench.rows import Row

TITLES = ("queries", "samples", "for", "percentile", "MLPerf estimate", "samples/s", "interval")
NOTE = (
    "scenario: by MLPerf Inference's rules (queries without a pause, least time and number, "
    "percentile), but no official MLPerf result: golden inputs in place of its data sets, the "
    "invocation alone is timed. MLPerf estimate: its early-stopping estimate of the percentile, "
    "which with 99 % confidence is no lower than the true one; latencies are counted to 0.1 %, "
    "rounded up; interval: 95 % of the median of samples/s over stretches. p50, p90 and p99 above "
    "are of queries evenly drawn from them"
)


def scenarios(rows: Sequence[Row]) -> Table | None:
    """Return a line for each run of a scenario, None of none."""
    columns = (Column("scenario", right=False), *map(Column, TITLES), Column("rule", right=False))
    return lines("MLPerf scenarios (not an official result)", columns, rows, _figures)


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the figures mean."""
    if any(row.scenario for row in rows):
        yield NOTE


def _figures(row: Row) -> Iterator[tuple[Cell, ...]]:
    run, rate = row.scenario, row.throughput
    if run is None:
        return
    share, tail = run.percentile or 0.0, run.tail_ns
    yield (
        word(run.name),
        figure(run.queries, units.count),
        figure(run.samples, units.count),
        figure(run.seconds * 1e9, units.duration),
        figure(tail, lambda ns: f"p{100 * share:.0f} {units.duration(ns)}"),
        figure(run.estimate_ns, units.duration),
        figure(run.samples_per_s, units.count),
        Cell(f"{units.count(rate.low)} to {units.count(rate.high)}" if rate else EMPTY),
        word("shortened" if run.shortened else "met"),
    )
