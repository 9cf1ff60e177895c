"""What a record holds beside its samples: blocks, cold starts, copies, usage, a sustained run."""

from itertools import pairwise

import numpy as np
import pytest

from bench.compare import compare
from bench.evidence import uncertainty
from bench.matrix import Choice, Effort
from bench.resume import resume
from bench.run import exit_code, run_matrix
from bench.stats import MIN_ROUNDS, figures, summary
from bench.verdict import verdict
from devices.device import WorkerError
from tests.bench.fake_device import FakeDevice, Script
from tests.bench.running import NAMES, Collector, cells, measure

SIX = Effort(processes=6)


def test_round_i_of_a_group_is_one_block_whose_begin_is_kept(root):
    records = measure(root, FakeDevice(), effort=Effort(max_seconds=60))
    found = list(records.values())
    assert len({(r.run, r.group) for r in found}) == 1
    assert {len(r.starts_ns) for r in found} == {MIN_ROUNDS}
    blocks = list(zip(*(r.starts_ns for r in found), strict=True))
    assert all(max(one) < min(after) for one, after in pairwise(blocks))


def test_groups_of_a_run_are_told_apart(root):
    made = []
    collector = Collector()
    collector.record = lambda cell, record: made.append((record.group, record.settings.threads))
    run_matrix(cells(root, FakeDevice(), choice=Choice(threads=(1, 2))), collector)
    assert sorted(set(made)) == [(0, 1), (1, 2)]


def test_every_round_keeps_what_it_took_and_sensors_are_read_around_them_all(root):
    device = FakeDevice({"a": Script(ns=1e7, waits=0.25)})
    record = measure(root, device, patterns=["a"])["a"]
    assert len(record.usage) == len(record.rounds)
    assert record.surroundings.before.temperature_c == 41
    assert record.surroundings.after.temperature_c == 42
    ops = [op for op, _ in device.log]
    assert ops.count("sensors") == 2
    assert set(ops[ops.index("sensors") + 1 :][: len(record.rounds)]) == {"measure"}
    assert verdict(record).word == "contended"
    assert exit_code([record]) == 3


class TestColdStart:
    def test_every_process_that_is_measured_shows_one_and_no_other_is_started(self, root):
        device = FakeDevice()
        records = measure(root, device, effort=SIX)
        assert sorted(device.requests("load")) == sorted(6 * NAMES)
        for record in records.values():
            assert len(record.cold) == 6
            (first, *_) = record.cold
            assert (first.start_ns, first.import_ns) == (50_000_000, 100_000_000)
            assert (first.load_ns, first.total_ns) == (2_000_000, 152_000_000 + first.first_ns)
            assert (record.load_ns, record.first_ns) == (first.load_ns, first.first_ns)

    def test_it_is_the_first_that_a_process_does(self, root):
        device = FakeDevice({"a": Script(slow_runs=1)})
        record = measure(root, device, effort=SIX, patterns=["a"])["a"]
        assert all(start.first_ns > 2.9e6 for start in record.cold)
        assert max(map(max, record.rounds)) < 1.1e6

    def test_a_wrong_answer_voids_it_too(self, root):
        device = FakeDevice({"a": Script(wrong=True)})
        assert measure(root, device, patterns=["a"])["a"].cold == ()

    def test_one_that_cannot_be_loaded_is_tried_once(self, root):
        device = FakeDevice({"a": Script(fails={("load", 1): WorkerError("load", "died", "")})})
        record = measure(root, device, effort=SIX, patterns=["a"])["a"]
        assert record.failure.stage == "load"
        assert device.requests("load") == ["a"]


class TestProcesses:
    """Fresh workers share the rounds, and their medians are what is independent."""

    def test_all_artifacts_get_fresh_ones_together_and_make_five_rounds_in_each(self, root):
        device = FakeDevice()
        records = measure(root, device, effort=SIX)
        assert {record.processes for record in records.values()} == {(5,) * 6}
        loads = device.requests("load")
        assert [set(loads[i : i + 3]) for i in range(0, 18, 3)] == [set(NAMES)] * 6
        assert device.most_open == 3
        assert device.open_now == set()

    def test_a_record_of_one_process_says_so(self, root):
        record = measure(root, FakeDevice(), patterns=["a"])["a"]
        assert (record.processes, record.several) == ((MIN_ROUNDS,), False)

    def test_rounds_that_take_long_are_fewer_in_a_process(self, root):
        device = FakeDevice({"a": Script(ns=1e8), "b": Script(ns=4e8)})
        records = measure(root, device, effort=SIX)
        assert records["a"].processes[:6] == (4,) * 6
        assert records["b"].processes[:6] == (1,) * 6
        assert sum(records["b"].processes) >= MIN_ROUNDS

    def test_little_time_is_shared_out(self, root):
        effort = Effort(processes=10, max_seconds=1)
        record = measure(root, FakeDevice(), effort=effort, patterns=["a"])["a"]
        assert record.processes == (1,) * 10
        assert verdict(record).word == "valid"

    def test_one_that_stays_noisy_gets_more_until_the_time_is_over(self, root):
        device = FakeDevice({"a": Script(drift=0.2)})
        record = measure(root, device, effort=SIX, patterns=["a"])["a"]
        assert len(record.processes) > 20
        assert set(record.processes[:-1]) == {5}
        assert record.stop == "time"

    def test_its_uncertainty_is_that_of_the_processes(self, root):
        scripts = {"a": Script(own=0.03)}
        (one, six) = (
            measure(root, FakeDevice(scripts), effort=effort, patterns=["a"])["a"]
            for effort in (Effort(), SIX)
        )
        assert uncertainty(one, figures(one)) < 0.001
        assert len(six.processes) > 6
        assert 0.01 < uncertainty(six, figures(six)) <= 0.02
        assert verdict(six).word == "valid"
        assert f"over {len(six.processes)} processes" in verdict(six).evidence

    def test_fewer_than_make_an_interval_are_too_short(self, root):
        device = FakeDevice({"a": Script(ns=4.1e8)})
        effort = Effort(processes=6, max_seconds=2)
        record = measure(root, device, effort=effort, patterns=["a"])["a"]
        assert (record.stop, len(record.processes)) == ("time", 5)
        assert verdict(record).word == "too short"
        assert "an interval needs 6 processes and 10 rounds" in verdict(record).evidence
        assert "--max-seconds 5" in verdict(record).advice

    def test_after_the_first_each_proves_one_answer_and_a_wrong_one_voids_all(self, root):
        device = FakeDevice({"b": Script(then={4: Script(wrong=True)})})
        records = measure(root, device, effort=SIX)
        wrong = records["b"]
        assert verdict(wrong).word == "wrong"
        assert wrong.failure.detail.endswith("(in process 4)")
        assert (wrong.rounds, wrong.cold, wrong.processes, wrong.first_ns) == ((), (), (), None)
        assert exit_code(records.values()) == 1
        assert verdict(records["a"]).word == verdict(records["c"]).word == "valid"

    @pytest.mark.parametrize(("op", "number"), [("load", 1), ("measure", 7), ("verify", 1)])
    def test_one_that_fails_ends_the_measurement_and_the_record_keeps_what_there_was(
        self, root, op, number
    ):
        death = WorkerError(op, "died", "killed by SIGKILL")
        device = FakeDevice({"b": Script(then={3: Script(fails={(op, number): death})})})
        records = measure(root, device, effort=SIX)
        failed = records["b"]
        assert verdict(failed).word == "failed"
        assert failed.failure.detail == "killed by SIGKILL (in process 3)"
        assert failed.processes[:2] == (5, 5)
        assert sum(failed.processes) == len(failed.rounds) < 15
        assert verdict(records["a"]).word == verdict(records["c"]).word == "valid"
        assert device.open_now == set()

    def test_process_i_of_two_artifacts_is_compared_and_their_layout_is_no_difference(self, root):
        """Two processes of one file differ by 3 % for as long as they live."""
        scripts = {name: Script(own=0.03) for name in NAMES}
        words = {1: [], 10: []}
        for processes, said in words.items():
            for seed in range(40):
                device = FakeDevice(scripts, seed=seed)
                effort = Effort(processes=processes, max_seconds=3)
                records = measure(root, device, effort=effort, patterns=["a", "b"])
                said.append(compare(records["a"], records["b"]).word)
        different = {n: sum(word in {"faster", "slower"} for word in words[n]) for n in words}
        assert different[1] > 20
        assert different[10] <= 2  # 1 % of 40, and 2.5 sigma


class TestEndToEnd:
    def test_copies_are_a_series_of_their_own_with_their_definition(self, root):
        record = measure(root, FakeDevice(copies="twice the work"), patterns=["a"])["a"]
        assert record.end_to_end.definition == "twice the work"
        assert len(record.end_to_end.rounds) == len(record.rounds) == len(record.usage)
        with_copies = np.median(np.concatenate(record.end_to_end.rounds))
        assert with_copies == pytest.approx(2 * summary(record).p50_ns, rel=0.01)

    def test_a_runtime_that_cannot_separate_them_has_none(self, root):
        assert measure(root, FakeDevice(), patterns=["a"])["a"].end_to_end is None


class TestSustained:
    EFFORT = Effort(sustained_s=0.05)

    def test_each_runs_alone_after_the_rounds_of_all(self, root):
        device = FakeDevice()
        records = measure(root, device, effort=self.EFFORT)
        ends = [n for op, n in device.log if op == "close"]
        assert ends == list(NAMES)
        for record in records.values():
            assert verdict(record).word == "valid"
            curve = record.sustained
            assert curve.seconds >= 0.05
            assert len(curve.times_s) == len(curve.medians_ns) == len(curve.temperatures_c) <= 600
            assert curve.times_s[0] < 0.05
            assert curve.frequencies_mhz == ()
            assert set(curve.lost) == {0.0}
            assert np.median(curve.medians_ns) == pytest.approx(1e6, rel=0.01)

    def test_an_interrupt_keeps_the_rounds_of_all_that_wait_for_it(self, root):
        fails = {("sensors", 5): KeyboardInterrupt()}
        device = FakeDevice({"b": Script(fails=fails)})
        collector = Collector()
        with pytest.raises(KeyboardInterrupt):
            run_matrix(cells(root, device, effort=self.EFFORT), collector)
        assert {n: len(r.rounds) for n, r in collector.records.items()} == dict.fromkeys(
            NAMES, MIN_ROUNDS
        )
        curves = {name: record.sustained is not None for name, record in collector.records.items()}
        assert curves == {"a": True, "b": False, "c": False}
        assert not device.open_now

    def test_a_worker_that_does_not_last_is_a_failure_with_the_rounds_it_made(self, root):
        fails = {("sensors", 5): WorkerError("sensors", "died", "killed by SIGKILL")}
        device = FakeDevice({"a": Script(fails=fails)})
        records = measure(root, device, effort=self.EFFORT)
        assert verdict(records["a"]).word == "failed"
        assert len(records["a"].rounds) == MIN_ROUNDS
        assert verdict(records["b"]).word == "valid"

    def test_a_record_without_a_curve_is_measured_again_when_one_is_wanted(self, root):
        records = measure(root, FakeDevice())
        wanted = cells(root, FakeDevice(), effort=self.EFFORT)
        assert len(resume(wanted, records.values(), None)[0]) == 3
        with_curve = measure(root, FakeDevice(), effort=self.EFFORT)
        assert resume(wanted, with_curve.values(), None)[0] == []
