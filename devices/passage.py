"""A way to a server over a shaped link, in network namespaces of its own: see `devices.network`.

A program of its own, started by `devices.network.Passage`. Three processes: at the near end whoever
connects to the listener that it was given is passed on over the link; in the middle packets are
carried; at the far end what arrives is passed on to the server, over the network as it is.

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


def ip(*arguments: str) -> None:
    """Run the system's `ip` in the network that this thread is in."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    subprocess.run(["ip", *arguments], check=True, env={**os.environ, "PATH": path})


def leave_network() -> None:
    """Be in a new network namespace; without root, first in a user namespace where one is root."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        call("unshare", CLONE_NEWNET)
        return
    call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")


def end(device: str, own: str, other: str, mtu: int) -> int:
    """Make one end of the link in this network; return its descriptor."""
    descriptor = tun(device)
    ip("addr", "add", own, "peer", other, "dev", device)
    ip("link", "set", device, "mtu", str(mtu), "up")
    return descriptor


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
    if os.fork() == 0:
        LIBRARY.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            do()
        finally:
            os._exit(1)


def carry_packets(ends: tuple[int, int], shape: Shape) -> None:
    """Carry packets until standard input ends."""
    wire, control = Wire(*ends, shape), sys.stdin.fileno()
    while True:
        wire.deliver()
        ready = select.select([*ends, control], (), (), wire.wait_s())[0]
        if control in ready:
            return
        for descriptor in ready:
            wire.take(descriptor)


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
    near_network = os.open("/proc/self/ns/net", os.O_RDONLY)
    near_end = end(NEAR_DEVICE, NEAR, FAR, shape.mtu)
    call("unshare", CLONE_NEWNET)
    far_end = end(FAR_DEVICE, FAR, NEAR, shape.mtu)
    arrival = socket.create_server((FAR, 0))
    port = arrival.getsockname()[1]
    socket.send_fds(inner, [b"."], [arrival.fileno()])
    call("setns", near_network, CLONE_NEWNET)

    def near() -> None:
        listener = socket.socket(fileno=asked.listener)
        relay(listener, lambda: socket.create_connection((FAR, port), 10))

    fork(near)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    carry_packets((far_end, near_end), shape)


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{error}")
