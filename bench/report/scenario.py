"""The table of MLPerf's scenarios."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.report.document import EMPTY, Cell, Column, Table, figure, word
from bench.rows import Row, label, varying

TITLES = ("queries", "samples", "for", "percentile", "MLPerf estimate", "samples/s")
NOTE = (
    "scenario: by MLPerf Inference's rules (queries without a pause, least time and number, "
    "percentile), but no official MLPerf result: golden inputs in place of its data sets, the "
    "invocation alone is timed. MLPerf estimate: its early-stopping estimate of the percentile, "
    "which with 99 % confidence is no lower than the true one; latencies are counted to 0.1 %, "
    "rounded up. p50, p90 and p99 above are of queries evenly drawn from them"
)


def scenarios(rows: Sequence[Row]) -> Table | None:
    """Return a row for each run of a scenario, None if there is none."""
    found = [row for row in rows if row.scenario]
    if not found:
        return None
    names = varying(found)
    left = (Column("network", right=False), Column("artifact", right=False))
    return Table(
        title="MLPerf scenarios (not an official result)",
        columns=(
            *left,
            Column("scenario", right=False),
            *map(Column, TITLES),
            Column("rule", right=False),
        ),
        rows=tuple((word(row.model), word(label(row, names)), *_figures(row)) for row in found),
        nested=True,
    )


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the figures mean."""
    if any(row.scenario for row in rows):
        yield NOTE


def _figures(row: Row) -> Iterator[Cell]:
    run = row.scenario
    assert run is not None
    yield word(run.name)
    yield figure(run.queries, units.count)
    yield figure(run.samples, units.count)
    yield figure(run.seconds * 1e9, units.duration)
    share = f"p{100 * run.percentile:.0f} " if run.percentile else ""
    tail = run.tail_ns
    yield Cell(EMPTY if tail is None else f"{share}{units.duration(tail)}", tail)
    yield figure(run.estimate_ns, units.duration)
    yield figure(run.samples_per_s, units.count)
    yield word("shortened" if run.shortened else "met")
