"""Links that break in the middle of a run: a real SSH server and Android's adbd, emulated ARMs."""

from contextlib import nullcontext

import pytest

from bench.lanes import run_lanes
from devices import quarantine
from devices.android import Settings, make
from devices.remote import RemoteDevice
from devices.ssh import SshTransport
from devices.wheels import Wheels
from tests.bench.fake_device import FakeDevice
from tests.bench.test_lanes import Follower, outcomes, planned

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
