"""Running an artifact by a scenario's rule: queries without a pause, counted all, kept in part."""

from collections import Counter
from collections.abc import Callable
from math import ceil

from bench import tail
from bench.measurement import Measurement
from bench.pace import runs_for
from bench.record import Scenario
from bench.scenario import Plan
from devices.device import Served, WorkerError

# A run is made in so many stretches, its rounds, as far as these limits allow: what lies between
# two is nothing beside them, and a worker that is starved of its core still answers in time.
STRETCHES = 60
LEAST_NS, MOST_NS = 500e6, 2000e6
# Queries of a stretch that are kept one by one.
KEPT = 100


def serve(m: Measurement, plan: Plan, one_ns: float, tell: Callable[[], None]) -> None:
    """Run queries until the plan is met; its rounds are stretches with `KEPT` queries at most.

    A query is as many invocations as make up its samples, and takes as long as these together.

    Args:
        m: what is measured; its worker is warmed up.
        plan: what to run.
        one_ns: what an invocation takes by now.
        tell: called between the stretches.

    Raises:
        WorkerError: a query cannot be made up of batches, or the worker did not last.
    """
    each = _invocations(plan, m.cell.batch)
    latencies: Counter[int] = Counter()
    queries, spent_ns = 0, 0
    while spent_ns < plan.seconds * 1e9 or _made(m, plan, queries) < plan.queries:
        tell()
        wanted = min(_stretch_ns(plan), max(LEAST_NS, plan.seconds * 1e9 - spent_ns))
        found = _queries(m.timed(each * runs_for(wanted, each * one_ns)), each)
        m.rounds.append(tuple(found[:: ceil(len(found) / KEPT)]))
        m.processes[-1] += 1
        m.served.append(Served(invocations=each * len(found), wall_ns=sum(found)))
        latencies += tail.binned(found)
        queries, spent_ns = queries + len(found), spent_ns + sum(found)
        one_ns = sum(found) / len(found) / each
    m.scenario = _scenario(plan, latencies, queries * each * m.cell.batch, spent_ns)
    m.stop = "time"


def _invocations(plan: Plan, batch: int) -> int:
    """Return how many invocations make up a query; offline counts one by one."""
    samples = plan.rule.samples_per_query or batch
    if samples % batch:
        query = f"a {plan.name} query holds {samples} sample{'s' if samples > 1 else ''}"
        detail = f"{query}, which batches of {batch} do not make up; add --batch 1"
        raise WorkerError("measure", "unsupported", detail)
    return samples // batch


def _made(m: Measurement, plan: Plan, queries: int) -> int:
    return queries if plan.rule.samples_per_query else queries * m.cell.batch


def _stretch_ns(plan: Plan) -> float:
    return min(MOST_NS, max(LEAST_NS, plan.seconds * 1e9 / STRETCHES))


def _queries(samples: list[int], each: int) -> list[int]:
    starts = range(0, len(samples) - each + 1, each)
    return samples if each == 1 else [sum(samples[i : i + each]) for i in starts]


def _scenario(plan: Plan, latencies: Counter[int], samples: int, spent_ns: int) -> Scenario:
    return Scenario(
        name=plan.name,
        shortened=plan.shortened,
        least_seconds=plan.seconds,
        least_queries=plan.queries,
        seconds=spent_ns / 1e9,
        queries=latencies.total() if plan.rule.samples_per_query else 1,
        samples=samples,
        latencies=tuple(sorted(latencies.items())),
    )
