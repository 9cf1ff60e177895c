from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from devices import quarantine
from devices.local import LocalDevice
from devices.lock import machine, place


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_a_sound_device_passes():
    quarantine.check(LocalDevice())
    assert quarantine.lift(LocalDevice()) is False


def test_a_device_that_is_set_aside_is_refused_with_reason_time_and_remedy():
    quarantine.put(LocalDevice("x"), "the link broke")
    with pytest.raises(quarantine.QuarantinedError) as caught:
        quarantine.check(LocalDevice("x"))
    assert caught.value.exit_code == 3
    told = str(caught.value)
    assert told.startswith("device 'x' is set aside since 20")
    assert "the link broke" in told
    assert "'edgeworthy devices check x'" in told


def test_what_shares_the_machine_is_set_aside_with_it():
    quarantine.put(LocalDevice("x"), "why")
    assert quarantine.find(LocalDevice("y", [0])).reason == "why"


def test_it_is_lifted():
    quarantine.put(LocalDevice(), "why")
    assert quarantine.lift(LocalDevice()) is True
    quarantine.check(LocalDevice())


@pytest.mark.parametrize("clock", ["forward", "back"])
def test_it_expires_also_where_the_clock_was_set_back_by_a_day(clock):
    over = quarantine.LASTS + timedelta(seconds=1)
    old = datetime.now(UTC) + {"forward": -over, "back": timedelta(days=1)}[clock]
    path = place(machine(LocalDevice()), "quarantine")
    path.parent.mkdir(parents=True)
    path.write_bytes(msgspec.json.encode(quarantine.Quarantine(reason="why", since=old)))
    quarantine.check(LocalDevice())


def test_a_damaged_note_sets_nothing_aside():
    path = place(machine(LocalDevice()), "quarantine")
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"reason": ')
    quarantine.check(LocalDevice())
