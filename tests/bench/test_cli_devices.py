"""``bench run`` on several devices, and on one that is at work already."""

import json
import signal
import subprocess
import sys
from collections import Counter

import psutil
import pytest

from devices import lock, quarantine
from devices.local import LocalDevice
from tests import sshd
from tests.bench.test_cli_run import QUICK, assert_measured, bench_run, command, records
from tests.tiny import tiny_onnx

TWO = ("--device", "cpu", "--device", "board")


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    with sshd.board(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Two artifacts, and a state directory of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("tiny", "other"):
        tiny_onnx(tmp_path / "artifacts", name=name)
    return tmp_path


@pytest.fixture
def with_board(here, board):
    """This machine again, over SSH, in devices.toml."""
    keys = {"config": board.config, "python": sys.executable, "cache": here / "cache"}
    lines = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    text = f'[devices.board]\nkind = "ssh"\nhost = "board"\nruntimes = "own"\n{lines}'
    (here / "devices.toml").write_text(text)
    return here


@sshd.needs_sshd
class TestSideBySide:
    def test_all_is_recorded_and_shown(self, with_board):
        code, out, _ = bench_run(with_board, *TWO, "--json", *QUICK)
        assert_measured(with_board, code)
        found = Counter(r.device.name for r in records(with_board))
        assert found == {"cpu": 2, "board": 2}
        assert Counter(row["device"] for row in json.loads(out)) == found

    def test_resuming_measures_what_each_has_left(self, with_board):
        path = with_board / "results" / "records.jsonl"
        bench_run(with_board, *TWO, *QUICK)
        last = [line for line in path.read_text().splitlines() if '"name":"board"' in line][:1]
        path.write_text("\n".join([*last, ""]))
        _, _, err = bench_run(with_board, *TWO, "--resume", *QUICK)
        assert "already recorded in" in err
        assert {(r.device.name, r.manifest.network.name) for r in records(with_board)} == {
            (device, name) for device in ("cpu", "board") for name in ("tiny", "other")
        }

    def test_an_interrupt_ends_all_and_leaves_no_worker(self, with_board):
        endless = ("--batch", "512", "--precision-target", "0.00001%", "--max-seconds", "3600")
        child = subprocess.Popen(
            command(*TWO, *endless), cwd=with_board, stderr=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        own = descendants(child.pid, 4)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
        assert child.returncode == 130
        assert out == ""
        assert "Traceback" not in err
        assert err.strip().splitlines()[-1].startswith("interrupted; ")
        assert psutil.wait_procs(own, timeout=10)[1] == []


def descendants(pid, count):
    """Wait for a process to have `count` workers, or what reaches them."""
    while len(found := psutil.Process(pid).children()) < count:
        assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return found


def test_one_that_is_not_there_does_not_stop_the_others(here):
    (here / "devices.toml").write_text("[devices.big]\ncpus = [4095]\n")
    code, out, err = bench_run(here, "--device", "big", "--device", "cpu", *QUICK)
    assert code == 3
    assert len(records(here)) == 2
    assert "cpu, 1 thread" in out
    assert "error: not measured: device 'big': core 4095 is not there" in err.splitlines()[-1]


class TestBusy:
    def test_a_device_that_does_not_get_free_is_one_line_and_3(self, here):
        with lock.held(LocalDevice(), 0.0, print):
            code, out, err = bench_run(here, "--wait", "0", *QUICK)
        assert (code, out) == (3, "")
        (line,) = err.splitlines()
        assert line.startswith("error: device 'cpu' is busy: ")
        assert not (here / "results" / "records.jsonl").exists()

    def test_a_run_waits_for_the_one_before(self, here):
        with lock.held(LocalDevice(), 0.0, print):
            run = subprocess.Popen(
                command(*QUICK), cwd=here, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                text=True,
            )  # fmt: skip
            told = run.stderr.readline()
        run.communicate(timeout=120)
        assert "device 'cpu' is busy: " in told
        assert "waiting up to 600 s" in told
        assert_measured(here, run.returncode)
        assert len(records(here)) == 2

    @pytest.mark.parametrize(
        "words",
        [
            ("calibrate", "--artifact", "tiny", "--minutes", "0.01"),
            ("decide", "tiny/onnx-fp32", "other/onnx-fp32"),
            ("profile", "tiny/onnx-fp32"),
            ("run", "--best", "--model", "tiny"),
        ],
        ids=lambda words: words[0],
    )
    def test_whoever_measures_waits(self, here, cli, words):
        with lock.held(LocalDevice(), 0.0, print):
            done = cli("bench", *words, "--wait", "0.1", cwd=here)
        assert (done.returncode, done.stdout) == (3, "")
        told, refused = done.stderr.splitlines()
        assert "waiting up to 0.1 s" in told
        assert refused.startswith("error: device 'cpu' is busy: ")


def test_a_device_that_is_set_aside_is_refused(here):
    quarantine.put(LocalDevice(), "the link to it broke 3 times in a row")
    code, out, err = bench_run(here, *QUICK)
    assert (code, out) == (3, "")
    assert "'edgeworthy devices check cpu'" in err
