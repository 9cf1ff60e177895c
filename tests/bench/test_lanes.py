"""Several machines at once, and links that break: on devices of the real protocol."""

import json
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest

from bench.lanes import run_lanes
from bench.matrix import Choice, Effort, describe, plan, select
from bench.record_file import append, read
from devices import lock, quarantine
from devices.device import DeviceError, TransportError, WorkerError
from tests.bench.fake_device import FakeDevice, Script
from tests.bench.running import Collector
from tests.devices import shell

CUT = WorkerError("measure", "transport", "the link is cut")
QUICK = Effort(max_seconds=0.05)


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Follower(Collector):
    """Keeps all records and notes, and does what a test wants at a note or a step."""

    def __init__(self, at_note=lambda text: None, at_step=lambda cell, stage: None):
        super().__init__()
        self.all, self.notes = [], []
        self._at_note, self._at_step = at_note, at_step

    def progress(self, cell, stage, rounds):
        super().progress(cell, stage, rounds)
        self._at_step(cell, stage)

    def record(self, cell, record):
        self.all.append(record)

    def note(self, text):
        self.notes.append(text)
        self._at_note(text)


def free(device):
    return nullcontext()


def planned(root, *devices, patterns=(), effort=QUICK):
    return plan(select(root, patterns), describe(devices), Choice(), effort)


def measure(root, *devices, follower=None, hold=free, patterns=(), pauses_s=(0.0, 0.0)):
    follower = follower or Follower()
    cells = planned(root, *devices, patterns=patterns)
    refusals = run_lanes(cells, follower, None, hold, pauses_s=pauses_s)
    return follower, refusals


def outcomes(follower, name):
    found = [r for r in follower.all if r.device.name == name]
    return {r.manifest.network.name: r.failure and r.failure.cause for r in found}


class TestSideBySide:
    def test_devices_of_different_machines_are_at_work_at_once(self, root):
        both = threading.Barrier(2, timeout=60)

        class Meeting(FakeDevice):
            met = False

            def open(self, job):
                if not self.met:
                    self.met = both.wait() >= 0
                return super().open(job)

        follower, refusals = measure(root, Meeting(name="x"), Meeting(name="y"))
        assert refusals == []
        every = {"a": None, "b": None, "c": None}
        assert outcomes(follower, "x") == outcomes(follower, "y") == every
        assert len({r.run for r in follower.all}) == 1

    def test_those_of_one_machine_are_not(self, root):
        busy = threading.Lock()

        class Sharing(FakeDevice):
            machine = "one"

        @contextmanager
        def hold(device):
            assert busy.acquire(blocking=False)
            yield
            busy.release()

        one, other = Sharing(name="x"), Sharing(name="y")
        follower, _ = measure(root, one, other, hold=hold)
        assert [r.device.name for r in follower.all] == ["x"] * 3 + ["y"] * 3

    def test_the_follower_is_told_by_one_at_a_time(self, root):
        inside = threading.Lock()

        def alone(*_):
            assert inside.acquire(blocking=False)
            inside.release()

        follower, _ = measure(
            root, *(FakeDevice(name=n) for n in "wxyz"), follower=Follower(alone, alone)
        )
        assert len(follower.all) == 12

    def test_a_machine_that_cannot_be_taken_does_not_stop_the_others(self, root):
        def hold(device):
            if device.name == "x":
                raise lock.BusyError("device 'x' is busy")
            return nullcontext()

        follower, refusals = measure(root, FakeDevice(name="x"), FakeDevice(name="y"), hold=hold)
        assert [str(error) for error in refusals] == ["device 'x' is busy"]
        assert len(outcomes(follower, "y")) == 3
        assert outcomes(follower, "x") == {}

    @pytest.mark.parametrize("order", [("x", "y"), ("y", "x")])
    def test_what_ends_the_run_ends_every_machine(self, root, order):
        class FullError(Exception):
            pass

        class Full(Follower):
            def record(self, cell, record):
                super().record(cell, record)
                if record.device.name == "x":
                    raise FullError

        devices = [FakeDevice({"c": Script(ns=1e3)}, name=name) for name in order]
        with pytest.raises(FullError):
            measure(root, *devices, follower=Full())
        assert all(device.open_now == set() for device in devices)


class Interrupted(FakeDevice):
    """The machine whose thread a Ctrl-C reaches, as soon as the others are that far."""

    def __init__(self, others):
        super().__init__(name="x")
        self._others = others

    def open(self, job):
        assert self._others.wait(60)
        raise KeyboardInterrupt


class TestInterrupt:
    def test_it_ends_all_and_keeps_what_was_finished(self, root):
        finished = threading.Event()

        class Kept(Follower):
            def record(self, cell, record):
                super().record(cell, record)
                finished.set()

        x, y, follower = Interrupted(finished), FakeDevice(name="y"), Kept()
        with pytest.raises(KeyboardInterrupt):
            measure(root, x, y, follower=follower)
        assert follower.all
        assert {r.device.name for r in follower.all} == {"y"}
        assert all(r.failure is None for r in follower.all)
        assert y.open_now == set()

    def test_a_thread_that_waits_for_a_worker_ends_too(self, root, tmp_path):
        """The other machine's worker is frozen: it would never answer."""
        waiting = threading.Event()
        board = shell.device(tmp_path / "home", "board")

        def step(cell, stage):
            if stage == "measure":
                board.transport.freeze()
                waiting.set()

        endless = Effort(max_seconds=3600.0, precision_target=1e-12)
        cells = planned(root, Interrupted(waiting), board, patterns=["a"], effort=endless)
        with pytest.raises(KeyboardInterrupt):
            run_lanes(cells, Follower(at_step=step), None, free)
        board.close()
        assert board.transport.left() == []


class TestBrokenLink:
    def test_what_a_broken_link_cut_off_is_measured_again(self, root):
        device = FakeDevice({"b": Script(fails={("measure", 4): CUT}, then={2: Script()})})
        follower, _ = measure(root, device)
        assert outcomes(follower, "fake") == {"a": None, "b": None, "c": None}
        assert sorted(device.requests("load")) == ["a", "b", "b", "c"]
        (note,) = follower.notes
        assert "the link is cut; trying again" in note
        assert quarantine.find(device) is None

    def test_what_is_compared_with_it_is_measured_again_too(self, root):
        """Rounds of two that were not made in turns have no common drift."""
        device = FakeDevice({"b": Script(fails={("measure", 4): CUT}, then={2: Script()})})
        follower = Follower()
        cells = planned(root, device)
        run_lanes(cells, follower, None, free, together=True, pauses_s=(0.0,))
        assert [r.failure for r in follower.all] == [None] * 3
        assert len({r.group for r in follower.all}) == 1
        assert sorted(device.requests("load")) == ["a", "a", "b", "b", "c", "c"]

    @pytest.mark.parametrize("which", [0, 1])
    def test_so_is_the_predecessor_beside_it_and_nothing_else(self, root, which):
        broken = "ab"[which]
        device = FakeDevice({broken: Script(fails={("measure", 4): CUT}, then={2: Script()})})
        now, before, other = planned(root, device)
        follower = Follower()
        run_lanes([now, replace(before, beside=True), other], follower, None, free, pauses_s=(0.0,))
        assert [r.failure for r in follower.all] == [None] * 3
        assert sorted(device.requests("load")) == ["a", "a", "b", "b", "c"]
        groups = {r.manifest.network.name: r.group for r in follower.all}
        assert groups["a"] == groups["b"] != groups["c"]

    def test_a_record_made_again_is_of_a_group_of_its_own(self, root):
        device = FakeDevice({"b": Script(fails={("measure", 4): CUT}, then={2: Script()})})
        follower, _ = measure(root, device)
        groups = {r.manifest.network.name: r.group for r in follower.all}
        assert groups["a"] == groups["c"] != groups["b"]

    def test_other_failures_are_not_tried_again(self, root):
        died = WorkerError("measure", "died", "the worker was killed")
        device = FakeDevice({"b": Script(fails={("measure", 4): died})})
        follower, _ = measure(root, device)
        assert outcomes(follower, "fake") == {"a": None, "b": "died", "c": None}
        assert follower.notes == []

    def test_a_device_that_cannot_be_opened_is_a_broken_link_too(self, root):
        class Gone(FakeDevice):
            left = 1

            def open(self, job):
                if self.left:
                    self.left -= 1
                    raise TransportError("no route to host")
                return super().open(job)

        follower, _ = measure(root, Gone(), patterns=["a"])
        assert outcomes(follower, "fake") == {"a": None}

    def test_after_three_times_the_device_is_set_aside_and_the_rest_goes_on(self, root):
        dead = FakeDevice({"a": Script(fails={("load", 1): CUT})}, name="dead")
        well = FakeDevice(name="well")
        cells = [
            *planned(root, dead, patterns=["a"]),
            *plan(select(root, ["b"]), describe([dead]), Choice(batches=(2,)), QUICK),
            *planned(root, well),
        ]
        follower = Follower()
        assert run_lanes(cells, follower, None, free, pauses_s=(0.0, 0.0)) == []
        assert outcomes(follower, "dead") == {"a": "transport", "b": "quarantined"}
        assert outcomes(follower, "well") == {"a": None, "b": None, "c": None}
        assert "broke 3 times in a row: the link is cut" in quarantine.find(dead).reason
        assert dead.requests("load") == ["a"] * 3

    def test_a_device_that_does_not_come_back_is_not_measured_meanwhile(self, root):
        class Unplugged(FakeDevice):
            asked = 0

            def info(self):
                self.asked += 1
                if self.asked > 1:
                    raise TransportError("offline")
                return super().info()

        device = Unplugged({"a": Script(fails={("load", 1): CUT})})
        follower, _ = measure(root, device, patterns=["a"])
        assert outcomes(follower, "fake") == {"a": "transport"}
        assert device.requests("load") == ["a"]

    def test_another_device_at_the_same_place_is_not_taken_for_it(self, root):
        class Swapped(FakeDevice):
            def info(self):
                info = super().info()
                self.name = "other"
                return info

        device = Swapped({"a": Script(fails={("load", 1): CUT}, then={2: Script()})})
        follower, _ = measure(root, device, patterns=["a"])
        assert [r.failure.cause for r in follower.all] == ["transport"]

    def test_a_device_that_is_set_aside_is_not_described(self):
        quarantine.put(FakeDevice(), "why")
        with pytest.raises(DeviceError, match="is set aside since"):
            describe([FakeDevice()])


class TestRealLink:
    """A worker behind a shell, whose link is cut in the middle of a measurement."""

    def run(self, root, home, at_note):
        board = shell.device(home, "board")
        cuts = iter([True])

        def step(cell, stage):
            if stage == "measure" and next(cuts, False):
                board.transport.cut()

        def note(text):
            at_note(board.transport)

        follower = Follower(note, step)
        cells = planned(root, board, patterns=["a"])
        assert run_lanes(cells, follower, None, free, pauses_s=(0.0, 0.0)) == []
        board.close()
        return follower

    def test_it_is_measured_again_once_the_link_is_back(self, root, tmp_path):
        follower = self.run(root, tmp_path / "home", lambda link: link.mend())
        (record,) = follower.all
        assert record.failure is None
        assert record.proof.verified is True
        assert record.sampled

    def test_a_link_that_stays_cut_sets_the_device_aside(self, root, tmp_path):
        follower = self.run(root, tmp_path / "home", lambda link: None)
        (record,) = follower.all
        assert record.failure.cause == "transport"
        assert quarantine.find(shell.device(tmp_path / "home")) is not None

    def test_a_failure_of_the_link_is_a_record_like_others(self, root, tmp_path):
        follower = self.run(root, tmp_path / "home", lambda link: None)
        append(tmp_path / "records.jsonl", follower.all[0])
        (again,) = read(tmp_path / "records.jsonl")
        assert again == follower.all[0]
        assert json.loads((tmp_path / "records.jsonl").read_text())["stop"] == "failed"
