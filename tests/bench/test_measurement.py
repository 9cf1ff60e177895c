"""What a record holds beside its samples: blocks, cold starts, copies, usage, a sustained run."""

from itertools import pairwise

import numpy as np
import pytest

from bench.matrix import Choice, Effort, resume
from bench.run import exit_code, run_matrix
from bench.stats import MIN_ROUNDS, summary
from bench.verdict import verdict
from devices.device import WorkerError
from tests.bench.fake_device import FakeDevice, Script
from tests.bench.running import NAMES, Collector, cells, measure

COLD = ("load", "measure", "close")


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
    def test_fresh_processes_come_before_any_worker_that_is_measured(self, root):
        device = FakeDevice()
        records = measure(root, device, effort=Effort(cold=3))
        begun = device.log[: 3 * 3 * 3]
        assert begun == [(op, n) for _ in range(3) for n in NAMES for op in COLD]
        for record in records.values():
            assert len(record.cold) == 3
            (first, *_) = record.cold
            assert (first.start_ns, first.import_ns) == (50_000_000, 100_000_000)
            assert (first.load_ns, first.total_ns) == (2_000_000, 152_000_000 + first.first_ns)

    def test_none_asked_for_is_none(self, root):
        assert measure(root, FakeDevice())["a"].cold == ()

    def test_a_wrong_answer_voids_them_too(self, root):
        device = FakeDevice({"a": Script(wrong=True)})
        assert measure(root, device, effort=Effort(cold=2), patterns=["a"])["a"].cold == ()

    def test_one_that_cannot_be_loaded_is_tried_once(self, root):
        device = FakeDevice({"a": Script(fails={("load", 1): WorkerError("load", "died", "")})})
        record = measure(root, device, effort=Effort(cold=3), patterns=["a"])["a"]
        assert record.failure.stage == "load"
        assert device.requests("load") == ["a"]


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
