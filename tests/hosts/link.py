"""A link with a stated rate, delay, jitter and loss between this network and a namespace's.

A process of its own (`python tests/hosts/link.py --namespace PID ...`) carries packets between two
TUN devices: the kernel's netem is not everywhere. Stopped by a signal it is a dead link: nothing
arrives, and nobody is told. A profile's name on its standard input changes it.
"""

import argparse
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

DEVICE = "link0"  # the name of the end in the namespace
LONGEST_QUEUE_S = 0.3  # what does not fit is dropped, as a router does
TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000


class Profile(NamedTuple):
    """Rates are in Mbit/s, 0 for no limit; times one way, in ms; loss a share of the packets."""

    up: float = 0
    down: float = 0
    delay: float = 0
    jitter: float = 0
    loss: float = 0
    mtu: int = 1400


PROFILES = {
    "lan": Profile(mtu=65000),
    "wifi": Profile(30, 40, 3, 1),
    "5g": Profile(50, 300, 6, 1.5),
    "4g": Profile(10, 30, 25, 5),
    "3g": Profile(1, 3, 60, 10),
    "lossy": Profile(30, 40, 3, 1, loss=0.03),
}


class Direction:
    """One way of a link: when a packet arrives, if it does. Packets keep their order."""

    def __init__(self, mbit: float, profile: Profile) -> None:
        self._rate, self._profile = mbit * 1e6, profile
        self._random = random.Random(1)
        self._free = self._last = 0.0

    def due(self, size: int, now: float) -> float | None:
        """Return when a packet of `size` bytes sent `now` (both in seconds) arrives, or None."""
        start = max(now, self._free)
        if self._random.random() < self._profile.loss or start - now > LONGEST_QUEUE_S:
            return None
        self._free = start + (8 * size / self._rate if self._rate else 0)
        late = self._profile.delay + self._profile.jitter * self._random.uniform(-1, 1)
        self._last = max(self._last, self._free + late / 1e3)
        return self._last


class Wire:
    """The two ends and what is on its way between them."""

    def __init__(self, here: int, there: int) -> None:
        self._ends = {here: there, there: here}
        self._here = here
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._number = itertools.count()
        self.use(PROFILES["lan"])

    def use(self, profile: Profile) -> None:
        """Change the link, for packets that are sent from now on."""
        # From here to there is the device's download.
        self._ways = {
            end: Direction(profile.down if end == self._here else profile.up, profile)
            for end in self._ends
        }

    def take(self, end: int) -> None:
        """Take all packets that wait at an end."""
        while True:
            try:
                packet = os.read(end, 65536)
            except BlockingIOError:
                return
            due = self._ways[end].due(len(packet), time.monotonic())
            if due is not None:
                flying = (due, next(self._number), self._ends[end], packet)
                heapq.heappush(self._flying, flying)
            self.deliver()

    def deliver(self) -> None:
        """Hand over the packets that are due."""
        while self._flying and self._flying[0][0] <= time.monotonic():
            *_, end, packet = heapq.heappop(self._flying)
            try:
                os.write(end, packet)
            except OSError:
                continue  # a full queue loses packets

    def wait_s(self) -> float:
        """Return the seconds until the next packet is due, -1 if there is none."""
        return max(0.0, self._flying[0][0] - time.monotonic()) if self._flying else -1


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """Be in another process's network namespace."""
    with Path("/proc/self/ns/net").open() as own, Path(f"/proc/{pid}/ns/net").open() as other:
        _enter(other.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(namespace: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")


def tun(name: str) -> int:
    """Return a new TUN device of this network, which never blocks."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def ip(*arguments: str, namespace: int | None = None) -> None:
    """Run the system's `ip`, in a process's network if one is given."""
    enter = [] if namespace is None else ["nsenter", f"--net=/proc/{namespace}/ns/net"]
    subprocess.run([*enter, "ip", *arguments], check=True)


class Settings(argparse.Namespace):
    """The command line."""

    namespace: int
    device: str
    local: str
    remote: str
    profile: str


def settings() -> Settings:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", type=int, required=True, help="a process in it")
    parser.add_argument("--device", required=True, help="the name of the end here")
    parser.add_argument("--local", required=True, help="the address of the end here")
    parser.add_argument("--remote", required=True, help="the address of the other end")
    parser.add_argument("--profile", choices=PROFILES, default="lan")
    return parser.parse_args(namespace=Settings())


def _set_up(given: Settings, profile: Profile) -> None:
    mtu = ("mtu", str(profile.mtu), "up")
    ip("link", "set", given.device, *mtu)
    ip("link", "set", DEVICE, *mtu, namespace=given.namespace)


def tell(profile: str) -> None:
    """Say which profile is in force."""
    sys.stdout.write(f"{profile}\n")
    sys.stdout.flush()


def carry(given: Settings, wire: Wire, ends: tuple[int, int]) -> None:
    """Carry packets until the namespace is gone."""
    poll = select.poll()
    for descriptor in (*ends, sys.stdin.fileno()):
        poll.register(descriptor, select.POLLIN)
    while True:
        wire.deliver()
        wait = wire.wait_s()
        for descriptor, event in poll.poll(None if wait < 0 else wait * 1e3):
            if descriptor in ends:
                if event & ~select.POLLIN:
                    return
                wire.take(descriptor)
            elif line := sys.stdin.readline().strip():
                _set_up(given, PROFILES[line])
                wire.use(PROFILES[line])
                tell(line)
            else:
                poll.unregister(descriptor)


def main() -> None:
    """Make the link, say so, and carry packets."""
    given = settings()
    here = tun(given.device)
    with network_of(given.namespace):
        there = tun(DEVICE)
    ip("addr", "add", given.local, "peer", given.remote, "dev", given.device)
    for arguments in (
        ("addr", "add", given.remote, "peer", given.local, "dev", DEVICE),
        ("link", "set", "lo", "up"),
    ):
        ip(*arguments, namespace=given.namespace)
    wire = Wire(here, there)
    _set_up(given, PROFILES[given.profile])
    wire.use(PROFILES[given.profile])
    tell(given.profile)
    carry(given, wire, (here, there))


if __name__ == "__main__":
    main()
