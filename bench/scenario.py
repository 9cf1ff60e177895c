"""MLPerf Inference's scenarios: what each asks for, and what a run of one shows. Pure."""

from dataclasses import dataclass

import msgspec

from bench import tail
from bench.record import Scenario, ScenarioName


@dataclass(frozen=True)
class Rule:
    """What a scenario asks for, by "MLPerf Inference Rules", section Scenarios, and LoadGen's
    `mlperf.conf`.

    Queries of `samples_per_query` follow one another without a pause, for at least `least_seconds`
    and at least `least_queries` (what the `percentile` needs: see `bench.tail`). Offline all
    samples are one query, and `least_queries` counts samples.
    """

    samples_per_query: int | None
    percentile: float | None
    least_queries: int
    least_seconds: float = 600.0


RULES: dict[ScenarioName, Rule] = {
    "single-stream": Rule(samples_per_query=1, percentile=0.90, least_queries=64),
    "multi-stream": Rule(samples_per_query=8, percentile=0.99, least_queries=662),
    "offline": Rule(samples_per_query=None, percentile=None, least_queries=24_576),
}


@dataclass(frozen=True)
class Plan:
    """A scenario to run, for at least so long and so many queries (offline: samples)."""

    name: ScenarioName
    seconds: float
    queries: int

    @property
    def rule(self) -> Rule:
        """What MLPerf asks for."""
        return RULES[self.name]

    @property
    def shortened(self) -> bool:
        """Tell whether this is less than the rule asks for."""
        return self.seconds < self.rule.least_seconds or self.queries < self.rule.least_queries


def plan(name: ScenarioName, seconds: float | None = None, queries: int | None = None) -> Plan:
    """Return a scenario to run, by its rule where nothing else is given."""
    rule = RULES[name]
    return Plan(name, seconds or rule.least_seconds, queries or rule.least_queries)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario's run shows. Times in nanoseconds.

    `tail_ns` is the `percentile` of all latencies, `estimate_ns` MLPerf's figure, which allows for
    how few queries there were (see `bench.tail`; None of too few, and offline). `samples_per_s` is
    the rate while queries ran. `shortened` says that less was asked for than the rule asks.
    """

    name: str
    queries: int
    samples: int
    seconds: float
    shortened: bool
    percentile: float | None
    tail_ns: int | None
    estimate_ns: int | None
    samples_per_s: float


def result(run: Scenario | None) -> Result | None:
    """Return what a run of a scenario shows, None of none."""
    if run is None:
        return None
    percentile = RULES[run.name].percentile
    return Result(
        name=run.name,
        queries=run.queries,
        samples=run.samples,
        seconds=run.seconds,
        shortened=run.shortened,
        percentile=percentile,
        tail_ns=tail.percentile(run.latencies, percentile) if percentile else None,
        estimate_ns=tail.estimate(run.latencies, percentile) if percentile else None,
        samples_per_s=run.samples / run.seconds,
    )


def shortfall(run: Scenario | None) -> str | None:
    """Say what is missing for the rule to be met, None if nothing is."""
    if run is None:
        return None
    rule, offline = RULES[run.name], run.name == "offline"
    made = run.samples if offline else run.queries
    if run.seconds >= rule.least_seconds and made >= rule.least_queries:
        return None
    counted = f"{run.seconds:.3g} s and {made} {'samples' if offline else 'queries'}"
    asked = f"{rule.least_seconds:g} s and {rule.least_queries}"
    return f"shortened: {counted}, too short for the rule: MLPerf's {run.name} asks for {asked}"


def covers(run: Scenario | None, wanted: Plan | None) -> bool:
    """Tell whether a run is what is wanted, and at least as long."""
    if run is None or wanted is None:
        return run is None and wanted is None
    return (
        run.name == wanted.name
        and run.seconds >= wanted.seconds
        and run.least_queries >= wanted.queries
    )
