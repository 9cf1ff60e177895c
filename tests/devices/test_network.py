"""Links by name and by their figures; and a shaped link to a server, which needs namespaces."""

import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.device import ConfigError
from devices.network import PROFILES, Passage, Profile, profiles
from tests.hosts.requirements import unmet

ROOT = Path(__file__).resolve().parents[2]


def _has_netem() -> bool:
    """Ask the system's own `tc`, in a network of its own."""
    ask = "tc qdisc add dev lo root netem delay 1ms"
    done = subprocess.run(["unshare", "-n", *ask.split()], capture_output=True, check=False)
    return done.returncode == 0


HAS_NETEM = not unmet() and _has_netem()


def test_a_link_is_known_by_its_name() -> None:
    assert profiles("4g") == (PROFILES["4g"],)
    assert [one.name for one in profiles("3g,wifi")] == ["3g", "wifi"]


def test_a_faster_generation_is_faster() -> None:
    generations = [PROFILES[name] for name in ("3g", "4g", "5g")]
    assert sorted(generations, key=lambda one: one.down_mbit or 0) == generations
    assert sorted(generations, key=lambda one: -one.rtt_ms) == generations


def test_every_link_names_its_source() -> None:
    assert all(one.source != Profile("", 1, 1, 1).source for one in PROFILES.values())


def test_a_link_is_described_by_its_figures() -> None:
    (link,) = profiles("down=10, up=5Mbit,rtt=40ms,loss=1%")
    assert link[1:5] == (10, 5, 40, 0.01)
    assert link.name == "down=10,up=5,rtt=40,loss=0.01"


def test_what_is_not_said_of_a_link_is_no_limit() -> None:
    (link,) = profiles("rtt=20")
    assert (link.down_mbit, link.up_mbit, link.loss) == (None, None, 0)


def test_a_sweep_is_a_grid_of_round_trips_and_rates() -> None:
    grid = profiles("sweep")
    assert len({(one.rtt_ms, one.down_mbit) for one in grid}) == len(grid)
    assert len({one.rtt_ms for one in grid}) * len({one.down_mbit for one in grid}) == len(grid)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("4gg", "did you mean '4g'"),
        ("down=fast", r"down is a number \(Mbit/s\), not 'fast'"),
        ("down=0", "down is a number"),
        ("dwn=3", r"unknown key 'dwn' \(did you mean 'down'\?\)"),
        ("loss=1", "loss is a share below 1"),
    ],
)
def test_what_is_no_link_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        profiles(text)


@pytest.fixture
def echo() -> Iterator[int]:
    """Run a server that sends every byte back; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


def _echo(listener: socket.socket) -> None:
    with listener.accept()[0] as one:
        while block := one.recv(1 << 16):
            one.sendall(block)


def _round_trip_s(one: socket.socket, size: int) -> float:
    begin = time.perf_counter()
    one.sendall(bytes(size))
    left = size
    while left:
        left -= len(one.recv(left))
    return time.perf_counter() - begin


def _passed(profile: Profile, port: int, size: int, times: int) -> list[float]:
    passage = Passage(profile, "127.0.0.1", port)
    host, _, there = passage.authority.partition(":")
    try:
        with socket.create_connection((host, int(there)), 10) as one:
            one.settimeout(30)
            _round_trip_s(one, 1)  # the way behind the near end is only made now
            return [_round_trip_s(one, size) for _ in range(times)]
    finally:
        passage.close()


needs_a_link = pytest.mark.skipif(bool(unmet()), reason=unmet())


@pytest.mark.hosts
@needs_a_link
def test_a_link_takes_its_round_trip(echo: int) -> None:
    link = Profile("slow", None, None, 80)
    assert statistics.median(_passed(link, echo, 1, 5)) >= 0.08


@pytest.mark.hosts
@needs_a_link
def test_a_link_takes_its_time_for_the_bytes(echo: int) -> None:
    link = Profile("narrow", 1, 1, 10)
    # 50 kB are 0.4 s each way, and are sent back while they still arrive.
    assert min(_passed(link, echo, 50_000, 2)) >= 0.4


@pytest.mark.hosts
@needs_a_link
def test_nothing_is_lost_on_a_link_that_loses_packets(echo: int) -> None:
    link = Profile("lossy", 50, 50, 4, 0.02)
    assert len(_passed(link, echo, 20_000, 3)) == 3


@pytest.mark.hosts
@needs_a_link
def test_a_link_names_what_shaped_it(echo: int) -> None:
    passage = Passage(Profile("any", 10, 10, 1), "127.0.0.1", echo)
    passage.close()
    by_kernel = passage.link.shaped_by.startswith("the kernel's netem")
    assert by_kernel == (not passage.no_netem)
    assert by_kernel == HAS_NETEM


CHECK = "from devices.network import check; print(check())"
# May read this very Python wherever it lies, and nothing else that another user may not.
NOBODY = (
    "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all,+dac_read_search "
    "--ambient-caps=-all,+dac_read_search"
)
EVERYBODYS_TUN = (
    "mount -t tmpfs none /mnt && mknod -m {mode} /mnt/tun c 10 200 && "
    "mount --bind /mnt/tun /dev/net/tun"
)
needs_our_shaper = pytest.mark.skipif(HAS_NETEM, reason="the kernel's netem needs none of it")


def checked(prepare: str, namespace: str = "-m", become: str = "") -> str:
    """Return what is said of links in a namespace of its own, by a user there."""
    script = f"{prepare} && exec {become} {sys.executable} -c '{CHECK}'"
    done = subprocess.run(
        ["unshare", *namespace.split(), "sh", "-c", script],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return (done.stdout + done.stderr).splitlines()[-1]


@pytest.mark.hosts
@needs_a_link
def test_a_user_without_rights_shapes_in_a_user_namespace() -> None:
    assert checked(EVERYBODYS_TUN.format(mode=666), become=NOBODY).startswith("links are shaped by")


@pytest.mark.hosts
@needs_a_link
def test_who_is_root_in_a_user_namespace_only_shapes_too() -> None:
    assert checked("true", namespace="-U -r").startswith("links are shaped by")


@pytest.mark.hosts
@needs_a_link
@needs_our_shaper
@pytest.mark.parametrize(
    ("prepare", "namespace", "become", "remedy"),
    [
        (EVERYBODYS_TUN.format(mode=600), "-m", NOBODY, "type 'chmod 666 /dev/net/tun'"),
        ("mount -t tmpfs none /dev/net", "-m", "", "type 'modprobe tun'"),
        (
            "echo 0 > /proc/sys/user/max_net_namespaces", "-U -r", "",
            "'sysctl user.max_net_namespaces=1000'",
        ),
    ],
)  # fmt: skip
def test_what_a_system_refuses_is_told_with_the_remedy(
    prepare: str, namespace: str, become: str, remedy: str
) -> None:
    told = checked(prepare, namespace, become)
    assert told.startswith("devices.device.DeviceError: --network needs ")
    assert remedy in told
