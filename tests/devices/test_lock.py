import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devices import lock
from devices.gpu import GpuDevice
from devices.local import LocalDevice

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from devices import lock
from devices.local import LocalDevice
sys.argv = ["bench", "run", "--artifact", "*"]
with lock.held(LocalDevice(), 0.0, print):
    print("held", flush=True)
    sys.stdin.read()
"""


class Elsewhere:
    """A device that is a machine of its own."""

    name, kind = "board", "ssh"


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def other():
    """Another process that has this machine; it ends with its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.communicate()


def test_the_devices_of_this_machine_share_it():
    assert lock.machine(LocalDevice("one", [0])) == lock.machine(GpuDevice("gpu:1", 1))
    assert lock.machine(Elsewhere()) != lock.machine(LocalDevice())


def test_others_see_who_has_a_machine_and_since_when(other):
    found = lock.holder(lock.machine(LocalDevice()))
    assert found.pid == other.pid
    assert found.command == "bench run --artifact '*'"
    assert found.since[:2] == "20"
    assert lock.holder(lock.machine(Elsewhere())) is None


def test_a_second_job_is_refused_by_the_first_ones_name(other):
    told = []
    with pytest.raises(lock.BusyError) as caught, lock.held(LocalDevice("x"), 0.0, told.append):
        pass
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith(
        f"device 'x' is busy: 'bench run --artifact '*'' (process {other.pid}, since "
    )
    assert "--wait SECONDS" in str(caught.value)
    assert told == []


def test_a_second_job_says_once_that_it_waits_and_gets_its_turn(other):
    told = []

    def tell(text):
        told.append(text)
        other.stdin.close()

    with lock.held(LocalDevice(), 60.0, tell):
        assert lock.holder(lock.machine(LocalDevice())).pid == os.getpid()
    assert len(told) == 1
    assert "waiting up to 60 s" in told[0]
    other.stdin = None


def test_waiting_ends(other):
    told = []
    with pytest.raises(lock.BusyError), lock.held(LocalDevice(), 0.2, told.append):
        pass
    assert len(told) == 1


def test_a_killed_job_leaves_the_machine_free(other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    machine = lock.machine(LocalDevice())
    assert json.loads(lock.place(machine, "lock").read_text())["pid"] == other.pid
    assert lock.holder(machine) is None
    with lock.held(LocalDevice(), 0.0, print):
        pass


def test_another_machine_is_free(other):
    with lock.held(Elsewhere(), 0.0, print):
        assert lock.holder(lock.machine(Elsewhere())).pid == os.getpid()
    assert lock.holder(lock.machine(Elsewhere())) is None


def test_a_device_that_locks_itself_is_unlocked_with_its_machine():
    closed = []
    device = Elsewhere()
    device.close = lambda: closed.append(True)
    with lock.held(device, 0.0, print):
        assert closed == []
    assert closed == [True]


def test_machines_whose_addresses_look_alike_have_files_of_their_own():
    assert lock.place("ssh a:1", "lock") != lock.place("ssh a.1", "lock")
    assert lock.place("x/" * 300, "lock").parent == lock.place("y", "lock").parent


def test_a_state_directory_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    refused = pytest.raises(lock.DeviceError, match="set XDG_STATE_HOME to a directory")
    with refused, lock.held(LocalDevice(), 0.0, print):
        pass
