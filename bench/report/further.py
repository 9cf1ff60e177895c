"""The tables that stand below the latencies, where there is something for them."""

from collections.abc import Iterator, Sequence

from bench.report import cloud, energy, scenario, throughput
from bench.report.cold import cold_starts, counted_starts
from bench.report.document import Table
from bench.report.endurance import sustained_runs
from bench.report.memory import memory_kinds
from bench.rows import Row

MAKERS = (
    throughput.rates,
    scenario.scenarios,
    energy.energies,
    cloud.requests,
    cold_starts,
    counted_starts,
    sustained_runs,
    memory_kinds,
)


def further(rows: Sequence[Row]) -> list[Table]:
    """Return the tables of throughput, scenarios, energy, requests, cold starts, sustained runs and
    memory, those that have a line.
    """
    return [found for make in MAKERS if (found := make(rows))]


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what must be known to read the first four of them."""
    for of in (throughput, scenario, energy, cloud):
        yield from of.definitions(rows)
