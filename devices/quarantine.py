"""Devices that failed again and again, set aside for a while: which, since when, and why."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec

from devices.device import Device, DeviceError
from devices.lock import machine, place

# By then somebody may have put the cable back, and a run that meets a dead link loses a minute.
LASTS = timedelta(hours=1)


class QuarantinedError(DeviceError):
    """A device is set aside; the message says why, since when, and how to have it back."""

    state: ClassVar[str] = "quarantined"


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """Why a machine is set aside, and since when."""

    reason: str
    since: datetime


def put(device: Device, reason: str) -> None:
    """Set a device's machine aside for `LASTS`, replacing what was known.

    Raises:
        DeviceError: the state directory cannot be written to.
    """
    path = place(machine(device), "quarantine")
    temporary = path.with_suffix(".new")
    since = datetime.now(UTC).replace(microsecond=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.json.encode(Quarantine(reason=reason, since=since)))
        temporary.replace(path)
    except OSError as error:
        raise DeviceError(
            f"cannot set device '{device.name}' aside in {path}: {error.strerror}; "
            "set XDG_STATE_HOME to a directory that can be written to"
        ) from None


def find(device: Device) -> Quarantine | None:
    """Return the quarantine that a device's machine is in, None if it is in none, or no more."""
    try:
        found = msgspec.json.decode(
            place(machine(device), "quarantine").read_bytes(), type=Quarantine
        )
    except (OSError, msgspec.MsgspecError):
        return None
    # A clock that was set back since must not make it last for longer.
    return found if abs(datetime.now(UTC) - found.since) < LASTS else None


def check(device: Device) -> None:
    """Refuse a device that is set aside.

    Raises:
        QuarantinedError: it is.
    """
    if found := find(device):
        raise QuarantinedError(told(device, found))


def told(device: Device, found: Quarantine) -> str:
    """Return a quarantine as one line, with the remedy."""
    since, until = (
        moment.astimezone().isoformat(timespec="seconds")
        for moment in (found.since, found.since + LASTS)
    )
    return (
        f"device '{device.name}' is set aside since {since}: {found.reason}; mend that and type "
        f"'edgeworthy devices check {device.name}', or wait until {until}"
    )


def lift(device: Device) -> bool:
    """Take a device's machine out of quarantine; tell whether it was in one."""
    with suppress(OSError):
        place(machine(device), "quarantine").unlink()
        return True
    return False
