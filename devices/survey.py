"""Every device that there is, with its state and the reason: those of devices.toml, and the found.

All are asked side by side, and who does not answer in time is told so.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from devices import lock, quarantine
from devices.device import FORMATS, Device, DeviceError, DeviceInfo, WorkerError
from devices.discovery import Found, side_by_side
from devices.local import LocalDevice

if TYPE_CHECKING:
    from devices.registry import Entry, Kind

LIMIT_S = 5.0
# What is found late is told before the whole search is given up.
MARGIN_S = 0.1


class Seen(NamedTuple):
    """A device as it is now: `info` None and no `runtimes` where it is not ready.

    `state` is ready, busy, unauthorised, offline, quarantined or unavailable; `reason` is empty
    where it is ready.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    state: str
    reason: str
    device: Device | None
    info: DeviceInfo | None = None
    runtimes: tuple[str, ...] = ()


def look(
    entries: "Mapping[str, Entry]", kinds: "Mapping[str, Kind]", seconds: float = LIMIT_S
) -> list[Seen]:
    """Return the devices of `entries`, then those that the kinds find and no entry describes.

    Args:
        entries: devices by name.
        kinds: kinds by name.
        seconds: how long at most; a device or a kind that takes longer is unavailable.
    """
    end = time.monotonic() + seconds
    known = [
        Found(name, entry.device.kind, "ready", "", entry.labels, entry.device)
        for name, entry in entries.items()
    ]
    finders = {name: kind for name, kind in kinds.items() if kind.discover is not None}
    tasks = [
        *(partial(_examined, (found,), end) for found in known),
        *(partial(_discovered, name, kind, end) for name, kind in finders.items()),
    ]
    silent = [_silent(found) for found in known] + [_unfinished(name) for name in finders]
    seen = side_by_side(tasks, seconds, lambda number: [silent[number]])
    own, others = seen[: len(known)], seen[len(known) :]
    return _merged([*chain.from_iterable(own)], [*chain.from_iterable(others)])


def _discovered(name: str, kind: "Kind", end: float) -> list[Seen]:
    assert kind.discover is not None
    try:
        return _examined(tuple(kind.discover()), end)
    except DeviceError as error:
        return [Seen(name, name, (), error.state, str(error), None)]


def _examined(found: Sequence[Found], end: float) -> list[Seen]:
    """Ask each what it is, and give up those that are late a little before the end."""
    seconds = max(end - time.monotonic() - MARGIN_S, 0.0)
    tasks = [partial(examine, one) for one in found]
    return side_by_side(tasks, seconds, lambda number: _silent(found[number]))


def examine(found: Found) -> Seen:
    """Return a device's state; one that another job has is left alone.

    But for those of this machine, which nothing is sent to: not all of them need to be there.
    """
    seen = Seen(found.name, found.kind, found.labels, found.state, found.reason, found.device)
    if found.device is None:
        return seen
    if aside := quarantine.find(found.device):
        return seen._replace(state="quarantined", reason=quarantine.told(found.device, aside))
    machine = lock.machine(found.device)
    holder = lock.holder(machine)
    busy = seen._replace(state="busy", reason=f"{holder} has it")
    if holder and machine != LocalDevice.machine:
        return busy
    try:
        info = found.device.info()
        every = (name for kind in FORMATS for name in found.device.runtimes(kind))
        runtimes = tuple(dict.fromkeys(every))
    except DeviceError as error:
        return seen._replace(state=error.state, reason=str(error))
    except WorkerError as error:
        return seen._replace(state="unavailable", reason=str(error))
    return busy if holder else seen._replace(info=info, runtimes=runtimes)


def _silent(found: Found) -> Seen:
    reason = f"no answer within {LIMIT_S:g} s: check that it is switched on, and the way to it"
    return Seen(found.name, found.kind, found.labels, "offline", reason, found.device)


def _unfinished(kind: str) -> Seen:
    reason = f"looking for devices of kind {kind} took more than {LIMIT_S:g} s"
    return Seen(kind, kind, (), "unavailable", reason, None)


def _merged(known: list[Seen], found: list[Seen]) -> list[Seen]:
    """Leave out what was found and is known; what finds it finds the known one, too."""
    by_machine = {_machine(seen): seen.labels for seen in found if seen.device}
    machines = {_machine(seen) for seen in known}
    named = [s._replace(labels=(*s.labels, *by_machine.get(_machine(s), ()))) for s in known]
    return named + [s for s in found if not s.device or _machine(s) not in machines]


def _machine(seen: Seen) -> str:
    return lock.machine(seen.device) if seen.device else ""
