"""Packets between two network devices, at a stated rate, delay, jitter and loss.

In user space, over TUN devices: the kernel's own netem is not everywhere.
"""

import fcntl
import heapq
import itertools
import os
import random
import struct
import time
from typing import NamedTuple

LONGEST_QUEUE_S = 0.3  # what does not fit is dropped, as a router does
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


class Shape(NamedTuple):
    """Rates are in Mbit/s, 0 for no limit; times one way, in ms; loss a share of the packets."""

    up: float = 0
    down: float = 0
    delay: float = 0
    jitter: float = 0
    loss: float = 0
    mtu: int = 1400


class Direction:
    """One way of a link: when a packet arrives, if it does. Packets keep their order."""

    def __init__(self, mbit: float, shape: Shape) -> None:
        self._rate, self._shape = mbit * 1e6, shape
        self._random = random.Random(1)  # noqa: S311  no secret
        self._free = self._last = 0.0

    def due(self, size: int, now: float) -> float | None:
        """Return when a packet of `size` bytes sent `now` (both in seconds) arrives, or None."""
        start = max(now, self._free)
        if self._random.random() < self._shape.loss or start - now > LONGEST_QUEUE_S:
            return None
        self._free = start + (8 * size / self._rate if self._rate else 0)
        late = self._shape.delay + self._shape.jitter * self._random.uniform(-1, 1)
        self._last = max(self._last, self._free + late / 1e3)
        return self._last


class Wire:
    """The two ends and what is on its way between them."""

    def __init__(self, here: int, there: int, shape: Shape) -> None:
        """Take the two devices' descriptors; from here to there is the download."""
        self._ends = {here: there, there: here}
        self._here = here
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._number = itertools.count()
        self.use(shape)

    def use(self, shape: Shape) -> None:
        """Change the link, for packets that are sent from now on."""
        self._ways = {
            end: Direction(shape.down if end == self._here else shape.up, shape)
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

    def wait_s(self) -> float | None:
        """Return the seconds until the next packet is due, None if there is none."""
        return max(0.0, self._flying[0][0] - time.monotonic()) if self._flying else None


def tun(name: str) -> int:
    """Return a new TUN device of this network, which never blocks."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device
