"""A link with a stated rate, delay, jitter and loss between this network and a namespace's.

A process of its own (`python tests/hosts/link.py --namespace PID ...`) carries packets between two
TUN devices: the kernel's netem is not everywhere. Stopped by a signal it is a dead link: nothing
arrives, and nobody is told. A profile's name on its standard input changes it.
"""

import argparse
import ctypes
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a program, too

from devices.shaper import Shape, Wire, tun

DEVICE = "link0"  # the name of the end in the namespace
CLONE_NEWNET = 0x40000000


PROFILES = {
    "lan": Shape(mtu=65000),
    "wifi": Shape(30, 40, 3, 1),
    "5g": Shape(50, 300, 6, 1.5),
    "4g": Shape(10, 30, 25, 5),
    "3g": Shape(1, 3, 60, 10),
    "lossy": Shape(30, 40, 3, 1, loss=0.03),
}


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


def _set_up(given: Settings, profile: Shape) -> None:
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
        for descriptor, event in poll.poll(None if wait is None else wait * 1e3):
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
    wire = Wire(here, there, PROFILES[given.profile])
    _set_up(given, PROFILES[given.profile])
    tell(given.profile)
    carry(given, wire, (here, there))


if __name__ == "__main__":
    main()
