"""A link of the kernel's own: two virtual Ethernet devices with the queue discipline netem on each.

Not every kernel has it, containers' and small machines' least: then `devices.shaper` shapes.
"""

import os
import subprocess
from math import ceil

from devices.shaper import LONGEST_QUEUE_S, Shape

# What waits on a link without a rate is what is on its way.
NO_LIMIT = 100_000


class RefusedError(Exception):
    """The kernel or the system has no such thing; the message is its own."""


def run(*command: str) -> None:
    """Run the system's `ip` or `tc` in the network that this thread is in.

    Raises:
        OSError: there is no such program.
        subprocess.CalledProcessError: it failed.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    subprocess.run(
        command, check=True, stderr=subprocess.PIPE, text=True, env={**os.environ, "PATH": path}
    )


def pair(one: str, other: str, shape: Shape) -> None:
    """Make two devices in this network, a cable between them, and shape what `one` sends (up).

    Raises:
        RefusedError: this kernel cannot, or there is no `tc`; no device is left.
    """
    try:
        run("ip", "link", "add", one, "type", "veth", "peer", "name", other)
    except subprocess.CalledProcessError as error:
        raise RefusedError(_said(error)) from None
    try:
        send(one, shape.up, shape)
    except (OSError, subprocess.CalledProcessError) as error:
        run("ip", "link", "del", one)
        raise RefusedError(_said(error)) from None


def send(device: str, mbit: float, shape: Shape) -> None:
    """Shape what a device sends: one way of the link.

    The kernel would hand over many segments as one packet, and netem would take them for one.
    """
    run("ip", "link", "set", device, "gso_max_segs", "1")
    rate = ("rate", f"{mbit:g}mbit") if mbit else ()
    run(
        "tc", "qdisc", "add", "dev", device, "root", "netem", "delay", f"{shape.delay:g}ms",
        "loss", f"{100 * shape.loss:g}%", *rate, "limit", str(_packets(mbit, shape)),
    )  # fmt: skip


def _packets(mbit: float, shape: Shape) -> int:
    """Return how many packets there is room for: those on their way, and the longest queue."""
    if not mbit:
        return NO_LIMIT
    return 1 + ceil(mbit * 1e6 * (LONGEST_QUEUE_S + shape.delay / 1e3) / (8 * shape.mtu))


def _said(error: Exception) -> str:
    text = getattr(error, "stderr", None) or str(error)
    return " ".join(text.split()).removeprefix("Error: ")
