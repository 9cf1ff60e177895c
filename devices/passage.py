"""A way to a server over a shaped link, in network namespaces of its own: see `devices.network`.

A program of its own, started by `devices.network.Passage`. Three processes: at the near end whoever
connects to the listener that it was given is passed on over the link; in the middle packets are
shaped, by the kernel or by this program; at the far end what arrives is passed on to the server,
over the network as it is.

    client -> near end -> [namespace - shaped link - namespace] -> far end -> server

Needs root, or a system that lets a user make namespaces. Ends when its input ends.
"""

import argparse
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a program

from devices import netem
from devices.shaper import Shape, Wire, tun

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG = 1
NEAR, FAR = "198.18.255.1", "198.18.255.2"  # set aside for tests of network equipment (RFC 2544)
NEAR_DEVICE, FAR_DEVICE = "near0", "far0"
BLOCK = 1 << 16
LIBRARY = ctypes.CDLL(None, use_errno=True)


class Given(argparse.Namespace):
    """The command line."""

    listener: int
    host: str
    port: int
    up: float
    down: float
    delay: float
    loss: float


def given() -> Given:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listener", type=int, required=True, help="descriptor that listens")
    parser.add_argument("--host", required=True, help="of the server")
    parser.add_argument("--port", type=int, required=True, help="of the server")
    for name, unit in (("up", "Mbit/s"), ("down", "Mbit/s"), ("delay", "ms, one way")):
        parser.add_argument(f"--{name}", type=float, default=0, help=unit)
    parser.add_argument("--loss", type=float, default=0, help="share of the packets")
    return parser.parse_args(namespace=Given())


def call(name: str, *arguments: int) -> None:
    """Call a function of the system.

    Raises:
        OSError: it failed.
    """
    if getattr(LIBRARY, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def leave_network() -> None:
    """Be in a new network namespace; without the right to it, in a user namespace where one has it.

    Raises:
        OSError: this system allows neither.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        call("unshare", CLONE_NEWNET)
    except PermissionError:
        call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
        Path("/proc/self/setgroups").write_bytes(b"deny")
        Path("/proc/self/uid_map").write_bytes(b"0 %d 1" % user)
        Path("/proc/self/gid_map").write_bytes(b"0 %d 1" % group)


def address(device: str, own: str, other: str, mtu: int) -> None:
    """Give a device of this network its address, and put it to work."""
    netem.run("ip", "addr", "add", own, "peer", other, "dev", device)
    netem.run("ip", "link", "set", device, "mtu", str(mtu), "up")


def own_network() -> int:
    """Return a descriptor of the network that this thread is in."""
    return os.open("/proc/self/ns/net", os.O_RDONLY)


class KernelLink:
    """A link shaped by the kernel: see `devices.netem`. Made at the near end."""

    name = "netem"

    def __init__(self, shape: Shape) -> None:
        """Make both devices here.

        Raises:
            netem.RefusedError: the kernel cannot.
        """
        self._shape = shape
        netem.pair(NEAR_DEVICE, FAR_DEVICE, shape)
        address(NEAR_DEVICE, NEAR, FAR, shape.mtu)

    def reach(self, near: int, far: int) -> None:
        """Bring the far device to the far network, where this thread is."""
        call("setns", near, CLONE_NEWNET)
        netem.run("ip", "link", "set", FAR_DEVICE, "netns", f"/proc/{os.getpid()}/fd/{far}")
        call("setns", far, CLONE_NEWNET)
        netem.send(FAR_DEVICE, self._shape.down, self._shape)
        address(FAR_DEVICE, FAR, NEAR, self._shape.mtu)

    def carry(self) -> None:
        """Wait until standard input ends: the kernel does the rest."""
        sys.stdin.read()


class OwnLink:
    """A link shaped by this program: see `devices.shaper`. Made at the near end."""

    name = "tun"

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._near = tun(NEAR_DEVICE)
        address(NEAR_DEVICE, NEAR, FAR, shape.mtu)

    def reach(self, near: int, far: int) -> None:
        """Make the other device in the far network, where this thread is."""
        self._far = tun(FAR_DEVICE)
        address(FAR_DEVICE, FAR, NEAR, self._shape.mtu)

    def carry(self) -> None:
        """Carry packets until standard input ends."""
        ends = (self._far, self._near)
        wire, control = Wire(*ends, self._shape), sys.stdin.fileno()
        while True:
            wire.deliver()
            ready = select.select([*ends, control], (), (), wire.wait_s())[0]
            if control in ready:
                return
            for descriptor in ready:
                wire.take(descriptor)


def made(shape: Shape) -> tuple[KernelLink | OwnLink, str]:
    """Return the link, by the kernel where it can; and why it cannot."""
    try:
        return KernelLink(shape), ""
    except netem.RefusedError as error:
        return OwnLink(shape), str(error)


def relay(listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Pass every connection on, for good."""
    while True:
        one, _ = listener.accept()
        threading.Thread(target=join, args=(one, connect), daemon=True).start()


def join(one: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Connect, and carry what either side sends to the other until both have ended."""
    with one:
        try:
            other = connect()
        except OSError:
            return  # whoever asked sees a connection that ends
        with other:
            partners = {one: other, other: one}
            for side in partners:
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(OSError):
                carry(partners)


def carry(partners: dict[socket.socket, socket.socket]) -> None:
    """Carry bytes both ways; the end of one side is passed on, too."""
    open_sides = set(partners)
    while open_sides:
        for side in select.select(list(open_sides), (), ())[0]:
            if block := side.recv(BLOCK):
                partners[side].sendall(block)
            else:
                open_sides.discard(side)
                partners[side].shutdown(socket.SHUT_WR)


def fork(do: Callable[[], None]) -> None:
    """Do something in a process that ends with this one."""
    parent = os.getpid()
    if os.fork() == 0:
        LIBRARY.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # ended before that was asked for: no signal will come
            os._exit(1)
        try:
            do()
        finally:
            os._exit(1)


def main() -> None:
    """Make the link, say so, and carry packets."""
    asked = given()
    outer, inner = socket.socketpair()

    def far() -> None:
        handed = socket.recv_fds(outer, 1, 1)[1]
        server = (asked.host, asked.port)
        relay(socket.socket(fileno=handed[0]), lambda: socket.create_connection(server, 10))

    fork(far)  # before this process leaves the network
    shape = Shape(up=asked.up, down=asked.down, delay=asked.delay, loss=asked.loss, mtu=1500)
    leave_network()
    near_network = own_network()
    link, refusal = made(shape)
    call("unshare", CLONE_NEWNET)
    link.reach(near_network, own_network())
    arrival = socket.create_server((FAR, 0))
    port = arrival.getsockname()[1]
    socket.send_fds(inner, [b"."], [arrival.fileno()])
    call("setns", near_network, CLONE_NEWNET)

    def near() -> None:
        listener = socket.socket(fileno=asked.listener)
        relay(listener, lambda: socket.create_connection((FAR, port), 10))

    fork(near)
    sys.stdout.write(f"ready {link.name} {refusal}\n")
    sys.stdout.flush()
    link.carry()


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)}: {' '.join(error.stderr.split())}")
    except Exception as error:  # whoever started it reads one line
        sys.exit(f"{error}" if isinstance(error, OSError) else f"{type(error).__name__}: {error}")
