"""One job at a time on a machine: a lock that the kernel frees when its holder dies.

It is a file in the user's state directory, held by flock, with who holds it inside. Devices that
share a processor share a machine: `cpu`, `gpu` and every kind that runs on this one.
"""

import fcntl
import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, ClassVar

import msgspec
import platformdirs

from devices.device import Device, DeviceError

# Who only looks holds the lock for a moment.
LOOK_S = 0.05
POLL_S = 0.5
COMMAND = 60  # characters of a command that are told


class BusyError(DeviceError):
    """Another job has the machine; the message says which."""

    state: ClassVar[str] = "busy"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that has a machine, and since when (local time, ISO 8601)."""

    pid: int
    command: str
    since: str

    def __str__(self) -> str:
        return f"'{self.command}' (process {self.pid}, since {self.since})"


def machine(device: Device) -> str:
    """Return what a device shares with others that must not be at work at the same time.

    It is the device's attribute `machine`, as an address or a serial; a device without one is a
    machine of its own.
    """
    return str(getattr(device, "machine", f"{device.kind} {device.name}"))


def place(machine: str, suffix: str) -> Path:
    """Return the file of what this host knows of a machine; its directory may not exist yet."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", machine).strip("-")[:40]
    digest = hashlib.sha256(machine.encode()).hexdigest()[:8]
    state = Path(platformdirs.user_state_dir("edgeworthy"))
    return state / "machines" / f"{readable}-{digest}.{suffix}"


def holder(machine: str) -> Holder | None:
    """Return who has a machine now, None if nobody has."""
    try:
        with place(machine, "lock").open("r", encoding="utf-8") as stream:
            return None if _taken(stream, fcntl.LOCK_SH) else _named(stream)
    except OSError:
        return None


@contextmanager
def held(device: Device, wait_s: float, told: Callable[[str], None]) -> Iterator[None]:
    """Have a device's machine to oneself, after waiting for it if need be.

    A device that is locked on its own side, too, against other hosts, has a method `close`, which
    is called in the end.

    Args:
        device: one of the machine's.
        wait_s: how long at most, in seconds.
        told: gets one line that says who has it, if somebody has.

    Raises:
        BusyError: another job still has it when that time is over.
        DeviceError: the state directory cannot be written to.
    """
    path = place(machine(device), "lock")
    with _opened(path) as stream:
        _take(stream, device.name, wait_s, told)
        try:
            stream.truncate(0)
            stream.write(msgspec.json.encode(_me()).decode())
            stream.flush()
            yield
        finally:
            getattr(device, "close", int)()
            stream.truncate(0)


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise DeviceError(
            f"cannot lock the device by {path}: {error.strerror}; "
            "set XDG_STATE_HOME to a directory that can be written to"
        ) from None


def _take(stream: IO[str], name: str, wait_s: float, told: Callable[[str], None]) -> None:
    if _taken(stream):
        return
    time.sleep(LOOK_S)
    if _taken(stream):
        return
    said = f"device '{name}' is busy: {_named(stream)} has it"
    if wait_s > 0:
        told(f"{said}; waiting up to {wait_s:g} s")
    end = time.monotonic() + wait_s
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(POLL_S, left))
        if _taken(stream):
            return
    now = f"device '{name}' is busy: {_named(stream)} has it"
    raise BusyError(f"{now}; try again when it has ended, or wait for longer with --wait SECONDS")


def _taken(stream: IO[str], how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(stream, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _named(stream: IO[str]) -> Holder:
    """Return who the file names; who took it a moment ago may not have written that yet."""
    stream.seek(0)
    try:
        return msgspec.json.decode(stream.read(), type=Holder)
    except msgspec.MsgspecError:
        return Holder(pid=0, command="another job", since="a moment ago")


def _me() -> Holder:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    short = command if len(command) <= COMMAND else f"{command[: COMMAND - 3]}..."
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    return Holder(pid=os.getpid(), command=short, since=since)
