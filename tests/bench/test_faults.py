"""Links that break in the middle of a run: a real SSH server and Android's adbd, emulated ARMs."""

import subprocess
from contextlib import nullcontext

import pytest

from bench.duel import UndecidableError, fight
from bench.lanes import run_lanes
from bench.matrix import Effort
from devices import quarantine
from devices.android import Settings, make
from devices.remote import RemoteDevice
from devices.ssh import SshTransport
from devices.wheels import Wheels
from tests.bench.fake_device import FakeDevice
from tests.bench.test_cli_best import QUICK
from tests.bench.test_cli_run import command
from tests.bench.test_lanes import Follower, outcomes, planned
from tests.devices.test_emulated_board import until, workers
from tests.tiny import tiny_onnx

pytestmark = [pytest.mark.hosts, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def arm(board):
    """The emulated board; a dead link to it shows after three seconds."""
    way = SshTransport("board", config=str(board.ssh_config), alive_s=1)
    device = RemoteDevice("arm", "ssh", way, ".cache/edgeworthy", Wheels(("python3",)))
    yield device
    device.close()


@pytest.fixture
def pixel(phone):
    device = make("pixel", Settings(address=phone.serial))
    yield device
    device.close()


def run(root, device, fault, cure=lambda: None):
    """Measure beside another device; the fault comes with the first round, the cure after it."""
    faults = iter([fault])

    def step(cell, stage):
        if stage == "measure" and cell.target.info.name == device.name:
            next(faults, lambda: None)()

    follower = Follower(lambda note: cure(), step)
    cells = planned(root, device, FakeDevice(name="other"), patterns=["a"])
    run_lanes(cells, follower, None, lambda device: nullcontext(), pauses_s=(1.0, 3.0))
    assert outcomes(follower, "other") == {"a": None}
    return follower


def test_a_cable_that_was_pulled_and_put_back(root, board, arm):
    follower = run(root, arm, board.link.stop, board.link.resume)
    assert outcomes(follower, "arm") == {"a": None}
    assert len(follower.notes) == 1
    assert quarantine.find(arm) is None


def test_a_cable_that_stays_pulled(root, board, arm):
    follower = run(root, arm, board.link.stop)
    assert outcomes(follower, "arm") == {"a": "transport"}
    assert "arm is set aside: the link to it broke 3 times in a row" in follower.notes[-1]
    assert quarantine.find(arm) is not None


def test_a_board_that_starts_anew(root, board, arm):
    follower = run(root, arm, board.reboot)
    assert outcomes(follower, "arm") == {"a": None}
    assert len(follower.notes) >= 1


def test_two_that_are_compared_are_both_measured_again(root, board, arm):
    faults = iter([board.reboot])

    def step(cell, stage):
        if stage == "measure":
            next(faults, lambda: None)()

    follower = Follower(at_step=step)
    effort = Effort(max_seconds=0.05, max_slowdown=0.5)
    with pytest.raises(UndecidableError, match="emulated: "):  # which is after both were measured
        fight(*planned(root, arm, patterns=["a", "b"], effort=effort), follower)
    assert outcomes(follower, "arm") == {"a": None, "b": None}
    assert len({record.group for record in follower.all}) == 1
    assert len(follower.notes) >= 1


def test_a_search_goes_on_after_the_board_has_started_anew(tmp_path, board):
    tiny_onnx(tmp_path / "artifacts")
    entry = f'[devices.arm]\nkind = "ssh"\nhost = "board"\nconfig = "{board.ssh_config}"\n'
    (tmp_path / "devices.toml").write_text(entry)
    search = command("--best", "--model", "tiny", "--device", "arm", *QUICK)
    with subprocess.Popen(search, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:
        told = [next(running.stderr)]
        until(lambda: len(workers(board)) > 1, "no worker is at work")
        board.reboot()
        told += running.stderr
    assert "in full: 2 candidates" in told[0]
    assert [line for line in told if "trying again in 1 s" in line]
    assert [line for line in told if "failed" in line] == []
    assert running.returncode == 3  # emulated times count for nothing


def test_a_phone_that_starts_anew(root, phone, pixel):
    follower = run(root, pixel, phone.reboot)
    assert outcomes(follower, "pixel") == {"a": None}
    assert len(follower.notes) >= 1


def test_a_phone_that_asks_for_its_key_again_is_named(root, phone, pixel):
    def revoke():
        phone.revoke()
        phone.reboot()

    follower = run(root, pixel, revoke)
    assert outcomes(follower, "pixel") == {"a": "transport"}
    assert "unauthori" in follower.notes[-1] or "accept" in follower.notes[-1]
    assert quarantine.find(pixel) is not None
