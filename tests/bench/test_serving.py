import pytest

from bench.matrix import Choice, Effort
from bench.resume import resume
from bench.scenario import plan
from bench.serving import KEPT
from bench.throughput import throughput
from bench.verdict import verdict
from devices.device import WorkerError
from tests.bench.fake_device import FakeDevice, Script
from tests.bench.running import NAMES, cells, measure

MS = 1_000_000


def serve(root, name, *, scripts=None, choice=None, **shorter):
    device = FakeDevice(scripts)
    effort = Effort(scenario=plan(name, **shorter))
    return measure(root, device, choice=choice, effort=effort), device


def test_single_stream_goes_on_until_both_the_time_and_the_queries_are_enough(root):
    scripts = {"a": Script(ns=10 * MS), "b": Script(ns=100 * MS)}
    records, _ = serve(root, "single-stream", scripts=scripts, seconds=8, queries=200)
    quick, slow = (records[name].scenario for name in ("a", "b"))
    assert 8 <= quick.seconds < 9
    assert quick.queries > 200
    assert 200 <= slow.queries <= 205
    assert slow.seconds > 8
    assert quick.queries == quick.samples == sum(count for _, count in quick.latencies)


def test_by_default_a_run_is_as_long_as_the_rule_asks(root):
    records, _ = serve(root, "single-stream", scripts={"a": Script(ns=20 * MS)})
    found = records["a"].scenario
    assert found.seconds >= 600
    assert not found.shortened
    assert verdict(records["a"]).word == "valid"


def test_a_multi_stream_query_is_as_many_invocations_as_make_up_eight_samples(root):
    one, _ = serve(root, "multi-stream", scripts={"a": Script(ns=MS)}, seconds=6)
    four, _ = serve(
        root, "multi-stream", scripts={"a": Script(ns=MS)}, choice=Choice(batches=(4,)), seconds=6
    )
    for records, invocations in ((one, 8), (four, 2)):
        found = records["a"].scenario
        assert found.samples == 8 * found.queries
        assert records["a"].rounds[0][0] == pytest.approx(invocations * MS, rel=0.05)


def test_offline_is_one_query_of_all_samples(root):
    records, _ = serve(
        root, "offline", scripts={"a": Script(ns=MS)}, choice=Choice(batches=(4,)), seconds=6
    )
    found = records["a"].scenario
    assert found.queries == 1
    assert found.samples >= 24_576
    assert found.samples / found.seconds == pytest.approx(4000, rel=0.05)
    rate = throughput(records["a"])
    assert rate.low <= 4000 * 1.01
    assert rate.high >= 4000 * 0.99
    assert sum(served.invocations for served in records["a"].throughput.rounds) == found.samples / 4


def test_a_batch_that_makes_up_no_query_is_unmeasured(root):
    records, _ = serve(root, "single-stream", choice=Choice(batches=(2,)), seconds=5)
    assert records["a"].failure.cause == "unsupported"
    assert "holds 1 sample, which batches of 2 do not make up" in records["a"].failure.detail
    assert records["a"].key[-1] == "single-stream"


def test_artifacts_run_one_after_another(root):
    records, device = serve(root, "offline", seconds=6, queries=100)
    assert device.most_open == 1
    assert len({record.group for record in records.values()}) == len(NAMES)


def test_a_record_keeps_some_queries_of_every_stretch_and_counts_all(root):
    records, _ = serve(root, "single-stream", scripts={"a": Script(ns=50_000)}, seconds=6)
    found = records["a"]
    assert all(len(samples) <= KEPT for samples in found.rounds)
    assert found.scenario.queries > 10 * sum(map(len, found.rounds))
    assert len(found.scenario.latencies) < 3000
    assert len(found.usage) == len(found.rounds) >= 10


def test_a_wait_is_not_mistaken_for_many_as_few_queries_are_kept(root):
    busy = Script(ns=50_000, waits=0.05)
    records, _ = serve(root, "single-stream", scripts={"a": busy})
    assert verdict(records["a"]).word == "valid"
    assert "waiting for a core 5% of the time" in verdict(records["a"]).evidence


def test_a_scenario_is_resumed_only_from_one_as_long(root):
    records, device = serve(root, "offline", seconds=6, queries=100)
    for seconds, left in ((5, 0), (6, 0), (60, 3)):
        effort = Effort(scenario=plan("offline", seconds=seconds, queries=100))
        again = cells(root, device, effort=effort)
        assert len(resume(again, records.values(), None)[0]) == left
    assert len(resume(cells(root, device), records.values(), None)[0]) == 3


def test_a_worker_that_dies_leaves_a_failure_of_this_scenario(root):
    died = Script(fails={("measure", 30): WorkerError("measure", "died", "gone")})
    records, _ = serve(root, "offline", scripts={"a": died}, seconds=60)
    assert records["a"].failure.detail == "gone"
    assert records["a"].key[-1] == "offline"
    assert records["b"].failure is None


class TestStreams:
    def test_each_number_of_streams_is_a_measurement_of_its_own(self, root):
        device, effort = FakeDevice(), Effort(max_seconds=1)
        found = cells(root, device, choice=Choice(streams=(1, 4)), effort=effort)
        assert len({cell.key for cell in found}) == 2 * len(NAMES)
        assert found[-1].name.endswith("4 streams)")

    def test_a_round_keeps_what_all_did_together(self, root):
        script = {"a": Script(ns=2 * MS)}
        records = measure(root, FakeDevice(script, copies="run()"), choice=Choice(streams=(4,)))
        found = records["a"]
        assert found.settings.streams == 4
        assert len(found.throughput.rounds) == len(found.rounds)
        assert found.end_to_end is None
        assert found.key[-1] == "4 streams"

    def test_one_stream_is_plain_latency_of_which_the_throughput_was_asked(self, root):
        device = FakeDevice()
        asked = measure(root, device, choice=Choice(streams=(1,)))["a"]
        plain = measure(root, device)["a"]
        assert asked.key == plain.key
        assert (asked.settings.streams, plain.settings.streams) == (1, None)
        assert plain.throughput is None
        (first, *_), samples = asked.throughput.rounds, asked.rounds[0]
        assert (first.invocations, first.wall_ns) == (len(samples), sum(samples))
        assert device.requests("streams") == []

    def test_every_process_runs_them(self, root):
        device = FakeDevice()
        measure(root, device, choice=Choice(streams=(2,)), effort=Effort(processes=6))
        assert len(device.requests("streams")) == len(device.requests("load"))


class TestEnergy:
    def test_rounds_are_metered_and_idling_before_them_once(self, root):
        device = FakeDevice({"a": Script(ns=MS)}, watts=8.0)
        found = measure(root, device, effort=Effort(processes=6))["a"].energy
        assert len(found.rounds) > 0
        assert found.idle.joules == (2.0,)
        assert device.requests("idle").count("a") == 1

    def test_every_round_has_its_figure(self, root):
        record = measure(root, FakeDevice(watts=8.0))["a"]
        assert len(record.energy.rounds) == len(record.rounds) == len(record.usage)

    def test_without_a_sensor_there_is_nothing_and_no_idling(self, root):
        device = FakeDevice()
        assert measure(root, device)["a"].energy is None
        assert device.requests("idle") == []
