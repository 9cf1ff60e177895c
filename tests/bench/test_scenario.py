import pytest
from msgspec.structs import replace

from bench.record import Scenario
from bench.scenario import RULES, covers, plan, result, shortfall
from bench.verdict import verdict
from tests.bench import factory

MS = 1_000_000


def run(name="single-stream", *, seconds=600.0, queries=150_000, ms=4.0, **changes):
    asked = plan(name, changes.pop("asked_seconds", None), changes.pop("asked_queries", None))
    made = Scenario(
        name=name,
        shortened=asked.shortened,
        least_seconds=asked.seconds,
        least_queries=asked.queries,
        seconds=seconds,
        queries=queries,
        samples=queries * (RULES[name].samples_per_query or 1),
        latencies=((int(ms * MS), queries - queries // 20), (int(2 * ms * MS), queries // 20)),
    )
    return replace(made, **changes)


def recorded(scenario):
    record = factory.record(stop="time")
    settings = replace(record.settings, scenario=scenario.name)
    return replace(record, settings=settings, scenario=scenario)


def test_the_rules_are_mlperfs():
    assert {rule.least_seconds for rule in RULES.values()} == {600}
    assert RULES["single-stream"].percentile == 0.90
    assert (RULES["multi-stream"].percentile, RULES["multi-stream"].samples_per_query) == (0.99, 8)
    assert RULES["offline"].least_queries == 24_576


@pytest.mark.parametrize("name", RULES)
def test_a_plan_is_the_rule_unless_shortened(name):
    assert not plan(name).shortened
    assert plan(name, seconds=5).shortened
    assert plan(name, queries=1).shortened
    assert not plan(name, seconds=1200, queries=10**6).shortened


def test_single_stream_is_judged_by_its_p90_and_multi_stream_by_its_p99():
    single, several = result(run(ms=4)), result(run("multi-stream", ms=4, queries=20_000))
    assert (single.tail_ns, several.tail_ns) == (4 * MS, 8 * MS)
    assert single.tail_ns <= single.estimate_ns
    assert several.samples_per_s == pytest.approx(20_000 * 8 / 600)


def test_offline_is_judged_by_its_samples_per_second():
    found = result(run("offline", queries=1, samples=60_000))
    assert found.samples_per_s == 100
    assert found.tail_ns is found.estimate_ns is found.percentile is None


def test_a_run_that_met_the_rule_is_valid():
    assert shortfall(run()) is None
    assert verdict(recorded(run())).word == "valid"


@pytest.mark.parametrize(
    "short", [{"seconds": 5.0, "asked_seconds": 5.0}, {"queries": 60, "asked_queries": 60}]
)
def test_a_shortened_run_is_too_short_for_the_rule_and_says_so(short):
    judged = verdict(recorded(run(**short)))
    assert judged.word == "too short"
    assert judged.evidence.startswith("shortened: ")
    assert "MLPerf's single-stream asks for 600 s and 64" in judged.evidence
    assert "--scenario single-stream alone" in judged.advice


def test_a_run_covers_what_is_no_longer():
    assert covers(run(), plan("single-stream"))
    assert covers(run(), plan("single-stream", seconds=5))
    assert not covers(run(seconds=5.0), plan("single-stream"))
    assert not covers(run(), plan("offline"))
    assert not covers(run(), None)
    assert not covers(None, plan("offline"))
    assert covers(None, None)


def test_records_of_a_scenario_and_of_plain_latency_share_no_key():
    plain, scenario = factory.record(), recorded(run())
    assert plain.key != scenario.key
    assert scenario.key[-1] == "single-stream"
