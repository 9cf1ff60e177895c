"""Wall clocks that are set while something is measured: an emulated board's, and this host's."""

import os
import shutil
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from bench.lanes import run_lanes
from bench.matrix import Choice, Effort, describe, plan, select
from bench.record_file import read
from devices.device import Job
from devices.remote import RemoteDevice
from devices.ssh import SshTransport
from devices.wheels import Wheels
from tests.bench.test_lanes import Follower, free
from tests.conftest import ROOT
from tests.devices.conftest import expect_the_logits
from tests.hosts import wall_clock
from tests.tiny import tiny_onnx

pytestmark = [pytest.mark.hosts, pytest.mark.slow]
DAY, HOUR = 86_400, 3_600
LEASE_S = 5
WATCH = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"


@pytest.fixture
def device(board):
    """The board; a worker there outlives a dead link by a few seconds."""
    way = SshTransport("board", config=str(board.ssh_config), alive_s=1)
    made = RemoteDevice(
        "arm", "ssh", way, ".cache/edgeworthy", Wheels(("python3",)), lease_s=LEASE_S
    )
    yield made
    made.close()


def workers(board):
    return [line for line in board.processes().values() if "/devices/worker.py" in line]


def test_the_board_s_clock_jumps_for_what_runs_there_and_its_uptime_does_not(board):
    ssh = ["ssh", "-F", str(board.ssh_config), "board", f"python3 -u -c '{WATCH}'"]
    with (
        board.wall_clock() as set_off,
        subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watch,
    ):

        def look():
            watch.stdin.write("\n")
            watch.stdin.flush()
            return map(float, watch.stdout.readline().split())

        began, wall, up = time.time(), *look()
        assert abs(wall - began) < 60
        for seconds in (DAY, -HOUR):
            set_off(seconds)
            wall_now, up_now = look()
            assert abs(wall_now - wall - seconds) < 60
            assert 0 <= up_now - up < 60
        watch.stdin.close()


def jumping(set_off, follower_steps):
    """Return what sets a clock off by a day at the second round, and back at the fourth."""
    jumps = {2: DAY, 4: -HOUR}

    def step(cell, stage):
        if stage == "measure":
            follower_steps.append(stage)
            if by := jumps.get(len(follower_steps)):
                set_off(by)

    return step


def expect_sound(record, took_s):
    """Expect what was measured in so many seconds, and no part of a day or an hour in it."""
    assert record.failure is None
    assert record.proof.verified
    samples = [ns for samples in record.rounds for ns in samples]
    assert min(samples) > 0
    assert sum(samples) / 1e9 < took_s
    assert max(record.starts_ns) / 1e9 < took_s
    assert all(one < other for one, other in pairwise(record.starts_ns))
    assert all(0 < usage.wall_ns / 1e9 < took_s for usage in record.usage)
    for cold in record.cold:
        assert all(0 <= ns / 1e9 < took_s for ns in (cold.start_ns, cold.import_ns, cold.load_ns))


def test_a_board_that_sets_its_clock_in_the_middle_changes_no_figure(board, device, tmp_path):
    tiny_onnx(tmp_path)
    steps, begin = [], time.monotonic()
    with board.wall_clock() as set_off:
        follower = Follower(at_step=jumping(set_off, steps))
        effort = Effort(max_seconds=1.0, precision_target=1e-9)
        cells = plan(select(tmp_path, ()), describe([device]), Choice(), effort)
        run_lanes(cells, follower, None, free, pauses_s=())
    (record,) = follower.all
    assert len(steps) > 4
    assert follower.notes == []
    expect_sound(record, time.monotonic() - begin)


def test_a_lease_counts_by_no_clock_that_jumps(board, device, tmp_path):
    job = Job(artifact=tiny_onnx(tmp_path), runtime="onnxruntime", timeout_s=20)
    with board.wall_clock() as set_off:
        session = device.open(job)
        set_off(DAY)
        time.sleep(1.5 * LEASE_S)
        expect_the_logits(session)
        set_off(-HOUR)
        time.sleep(1.5 * LEASE_S)
        expect_the_logits(session)
        board.link.stop()
        end = time.monotonic() + 6 * LEASE_S
        while workers(board):
            assert time.monotonic() < end, "a worker outlived its lease"
            time.sleep(0.1)
        board.link.resume()


def test_a_board_that_learns_the_date_late_still_has_what_it_needs(board, device, tmp_path):
    """Without a battery it starts at any date; what was just sent then seems to be weeks old."""
    job = Job(artifact=tiny_onnx(tmp_path), runtime="onnxruntime")
    with board.wall_clock() as set_off:
        device.open(job).close()
        device.close()
        set_off(40 * DAY)
        session = device.open(job)
        expect_the_logits(session)
        session.close()


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler (gcc)")
def test_a_host_whose_own_clock_is_set_measures_all_the_same(tmp_path):
    """What it starts has that clock, too: a worker of its own processor."""
    tiny_onnx(tmp_path / "artifacts")
    offset = tmp_path / "clock"
    wall_clock.set_off(offset, 0)
    clock = wall_clock.environment(wall_clock.library("own"), offset)
    command = [sys.executable, str(ROOT / "edgeworthy.py"), "bench", "run", "--processes", "1"]
    command += ["--max-seconds", "6", "--precision-target", "0.0001%"]
    begin = time.monotonic()
    with subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | clock, stdout=subprocess.PIPE, text=True
    ) as run:
        time.sleep(4)
        for by in (DAY, -HOUR):
            wall_clock.set_off(offset, by)
            assert run.poll() is None
            time.sleep(1.5)
        printed = run.communicate(timeout=60)[0]
    assert run.returncode in {0, 3}  # whether the machine was quiet is not what is tested
    assert "tiny" in printed
    (record,) = read(tmp_path / "results" / "records.jsonl")
    expect_sound(record, time.monotonic() - begin)
