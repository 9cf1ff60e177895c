"""The tables that stand below the latencies, where there is something for them."""

from collections.abc import Sequence

from bench.report.cold import cold_starts
from bench.report.document import Table
from bench.report.endurance import sustained_runs
from bench.report.memory import memory_kinds
from bench.rows import Row


def further(rows: Sequence[Row]) -> list[Table]:
    """Return the tables of cold starts, sustained runs and memory."""
    return [found for make in (cold_starts, sustained_runs, memory_kinds) if (found := make(rows))]
