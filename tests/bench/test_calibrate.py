import dataclasses
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from bench import noise
from bench.calibrate import UnmeasurableError, calibrate, profile
from bench.matrix import Choice, Effort, describe, plan, select
from devices.device import WorkerError
from tests.bench.factory import record
from tests.bench.fake_device import FakeDevice, Script
from tests.sshd import board, needs_sshd, with_signal
from tests.tiny import tiny_onnx

EDGEWORTHY = Path(__file__).resolve().parents[2] / "edgeworthy.py"
TOO_BUSY = "were good enough to count"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    where = tmp_path_factory.mktemp("made")
    tiny_onnx(where / "artifacts", name="tiny")
    return where / "artifacts"


def cell(root, script=None):
    targets = describe([FakeDevice({"tiny": script or Script()})])
    (one,) = plan(select(root, ()), targets, Choice(threads=(2,)), Effort())
    return one


def runs(count, own):
    """Return runs of two records of one artifact, each process with a level of its own."""
    levels = 4 * np.exp(own * np.random.default_rng(0).standard_normal((count, 2)))
    return [
        [record(ms=ms, spread=0.003, seed=2 * index + side) for side, ms in enumerate(pair)]
        for index, pair in enumerate(levels)
    ]


class TestProfile:
    def test_it_names_what_was_measured_where(self, root):
        found = profile(cell(root), runs(30, 0.01))
        assert (found.fingerprint, found.device) == ("fake-1", "fake")
        assert (found.artifact, found.runtime, found.threads) == ("tiny/onnx-fp32", "first", 2)

    def test_two_of_one_run_and_one_of_each_two_runs_are_compared(self, root):
        found = profile(cell(root), runs(30, 0.01))
        assert (found.within.comparisons, found.between.comparisons) == (30, 29)
        assert found.within.floor == pytest.approx(2.576 * np.sqrt(2) * 0.01, rel=0.4)
        assert found.between.floor == pytest.approx(found.within.floor, rel=0.5)

    def test_a_steady_device_has_next_to_no_noise(self, root):
        assert profile(cell(root), runs(30, 0.0)).within.floor < 0.003


class TestCalibrate:
    def test_it_measures_until_the_time_is_over(self, root):
        told = []
        found = calibrate(cell(root), 1.0, lambda *now: told.append(now), print)
        assert found.within.comparisons == len(told) > noise.LEAST
        assert [count for count, *_ in told] == list(range(len(told)))
        assert all(0 <= left <= 1.0 for *_, left in told)

    def test_however_little_the_time_there_are_enough_runs(self, root):
        found = calibrate(cell(root), 1e-9, lambda *_: None, print)
        assert (found.within.comparisons, found.between.comparisons) == (
            noise.LEAST + 1,
            noise.LEAST,
        )

    def test_a_run_that_the_link_broke_off_is_made_again(self, root):
        cut = WorkerError("measure", "transport", "the link is cut")
        notes = []
        script = Script(fails={("measure", 3): cut}, then={n: Script() for n in range(2, 1000)})
        found = calibrate(cell(root, script), 1e-9, lambda *_: None, notes.append)
        assert found.within.comparisons == noise.LEAST + 1
        assert notes == ["fake: the link is cut; trying again in 1 s"]

    def test_a_device_that_is_too_busy_is_given_up(self, root):
        wild = cell(root, Script(drift=0.5))
        wild = dataclasses.replace(wild, effort=Effort(max_seconds=0.05))
        with pytest.raises(UnmeasurableError, match=r"0 of 30 runs .* stop other programs"):
            calibrate(wild, 0.1, lambda *_: None, print)

    @pytest.mark.parametrize(
        "script",
        [Script(wrong=True), Script(fails={("measure", 3): WorkerError("run", "died", "gone")})],
    )
    def test_what_cannot_be_measured_has_no_noise(self, root, script):
        with pytest.raises(UnmeasurableError, match="tiny/onnx-fp32") as caught:
            calibrate(cell(root, script), 60.0, lambda *_: None, print)
        assert caught.value.exit_code == 3


class TestCommand:
    def bench(self, where, *arguments):
        done = subprocess.run(
            [sys.executable, str(EDGEWORTHY), "bench", *arguments],
            cwd=where, capture_output=True, text=True, timeout=150, check=False,
            env={"HOME": str(where), "XDG_STATE_HOME": str(where), "PATH": ""},
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    @pytest.mark.slow
    def test_the_profile_is_printed_and_kept(self, root):
        try:
            done = self.bench(
                root.parent, "calibrate", "--processes", "1", "--minutes", "0.01", "--json"
            )
        except subprocess.TimeoutExpired as late:
            pytest.skip(f"this machine is too busy: {late.stderr}")
        if TOO_BUSY in done.stderr:
            assert done.returncode == UnmeasurableError.exit_code
            pytest.skip(f"this machine is too busy: {done.stderr}")
        assert done.returncode == 0, done.stderr
        printed = msgspec.json.decode(done.stdout, type=noise.NoiseProfile)
        (kept,) = root.parent.glob("edgeworthy/noise/*.json")
        assert msgspec.json.decode(kept.read_bytes(), type=noise.NoiseProfile) == printed
        assert kept.stem == printed.fingerprint
        assert str(kept) in done.stderr

    @needs_sshd
    @pytest.mark.slow
    def test_a_connection_that_is_cut_is_made_again(self, root, tmp_path):
        """After that it is interrupted: a busy machine may not be good enough for long."""
        shutil.copytree(root, tmp_path / "artifacts")
        (tmp_path / "sshd").mkdir()
        with board(tmp_path / "sshd") as running:
            (tmp_path / "devices.toml").write_text(
                f'[devices.pi]\nkind = "ssh"\nhost = "board"\nconfig = "{running.config}"\n'
                f'runtimes = "own"\npython = "{sys.executable}"\ncache = "{tmp_path}/cache"\n'
            )
            command = [sys.executable, EDGEWORTHY, "bench", "calibrate", "--device", "pi"]
            with subprocess.Popen(
                command, cwd=tmp_path, stderr=subprocess.PIPE, text=True
            ) as calibrating:
                told = [next(calibrating.stderr)]
                while len(running.workers(tmp_path / "cache")) < 3:
                    time.sleep(0.1)
                for server in running.servers():
                    with_signal(server, signal.SIGKILL)
                told.append(next(calibrating.stderr))
                while len(running.workers(tmp_path / "cache")) < 3:
                    time.sleep(0.1)
                assert calibrating.poll() is None
                calibrating.send_signal(signal.SIGINT)
                told += calibrating.stderr
        assert told[0].startswith("0 runs done")
        assert told[1].startswith("pi: the connection to the device ended")
        assert told[1].endswith("trying again in 1 s\n")
        assert calibrating.returncode == 130, told

    def test_one_artifact_is_measured_against_itself(self, root, tmp_path):
        for name in ("one", "two"):
            tiny_onnx(tmp_path / "artifacts", name=name)
        done = self.bench(tmp_path, "calibrate")
        assert done.returncode == 2
        assert "2 artifacts fit" in done.stderr
        assert "--artifact, of one/onnx-fp32, two/onnx-fp32" in done.stderr
        assert not (tmp_path / "edgeworthy" / "noise").exists()


def test_a_gate_takes_no_growth_within_the_noise_for_one():
    from bench.baseline import build
    from bench.finding import exit_code
    from bench.gate import judge
    from tests.bench.factory import manifest
    from tests.bench.test_gate import rule
    from tests.bench.test_noise import PROFILE

    net = manifest()
    before, now = record(net, 4.0, spread=0.002), record(net, 4.06, spread=0.002, seed=1)
    now = replace(now, run="later")
    limit = rule("max-latency-growth", "0.5%")
    without = judge([limit], [net], [now], build([net], [before]))
    assert exit_code(without) == 1
    (found,) = judge([limit], [net], [now], build([net], [before]), {"1234": PROFILE})
    assert (found.verdict, found.threshold) == ("pass", 0.02)
    assert "held against the noise of cpu, 2.00 % by 'bench calibrate'" in found.reason
    (found,) = judge([rule("max-latency-growth", "3%")], [net], [now], build([net], [before]),
                     {"1234": PROFILE})  # fmt: skip
    assert (found.verdict, found.threshold) == ("pass", 0.03)
    assert "the rule is above the noise of cpu" in found.reason
