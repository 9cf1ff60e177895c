"""The network between a client and a server: named links, and the shaped link itself."""

import re
import socket
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import NamedTuple

from devices.device import ConfigError, DeviceError, Link

PROGRAM = Path(__file__).with_name("passage.py")
SHAPED_BY = {
    "netem": "the kernel's netem over virtual Ethernet (packets of 1500 bytes, queue of 0.3 s)",
    "tun": "edgeworthy, in user space over TUN devices (packets of 1500 bytes, queue of 0.3 s)",
}
START_S = 15.0
WEBPAGETEST = "WebPageTest's connectivity profile"


class Profile(NamedTuple):
    """A link: rates in Mbit/s (None: no limit), the round trip in ms, the share of packets lost."""

    name: str
    down_mbit: float | None
    up_mbit: float | None
    rtt_ms: float
    loss: float = 0.0
    source: str = "as asked for"


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("3g", 1.6, 0.768, 300, source=f"{WEBPAGETEST} 3G"),
        Profile("4g", 12, 12, 70, source=f"{WEBPAGETEST} LTE"),
        Profile(
            "5g", 166, 21, 32,
            source="Ookla: medians of 5G worldwide (Q3 2021); round trip of mobile networks in the "
            "United States (Q1 2021)",
        ),
        Profile("wifi", 30, 15, 2, source="Chrome DevTools' former preset WiFi"),
        Profile("lan", 1000, 1000, 1, source="IEEE 802.3ab's rate; the round trip is assumed"),
        Profile("fibre", 20, 5, 4, source=f"{WEBPAGETEST} FIOS"),
    )
}  # fmt: skip
SWEEP_RTT_MS = (5, 20, 80)
SWEEP_MBIT = (1, 10, 100)
KEYS = ("down", "up", "rtt", "loss")


def profiles(text: str) -> tuple[Profile, ...]:
    """Parse what ``--network`` takes: names, ``sweep``, or a link's figures.

    Raises:
        ConfigError: it is none of these.
    """
    if "=" in text:
        return (_described(text),)
    names = [name.strip().lower() for name in text.split(",")]
    found = [one for name in names for one in (_sweep() if name == "sweep" else (_named(name),))]
    return tuple(dict.fromkeys(found))


def _sweep() -> tuple[Profile, ...]:
    return tuple(
        _described(f"down={mbit},up={mbit},rtt={rtt}")
        for rtt in SWEEP_RTT_MS
        for mbit in SWEEP_MBIT
    )


def _named(name: str) -> Profile:
    if name in PROFILES:
        return PROFILES[name]
    close = get_close_matches(name, [*PROFILES, "sweep"], n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    raise ConfigError(
        f"--network {name}: no such link{hint}; there is: {', '.join(PROFILES)}, "
        "sweep, or write one as down=10,up=5,rtt=40,loss=1%"
    )


def _described(text: str) -> Profile:
    figures: dict[str, float] = {}
    for part in text.split(","):
        key, _, value = (word.strip() for word in part.partition("="))
        if key not in KEYS:
            close = get_close_matches(key, KEYS, n=1)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            raise ConfigError(
                f"--network {text}: unknown key '{key}'{hint}; there is: {', '.join(KEYS)}"
            )
        figures[key] = _number(text, key, value)
    if figures.get("loss", 0) >= 1:
        raise ConfigError(f"--network {text}: loss is a share below 1, as 0.01 or 1%")
    name = ",".join(f"{key}={figures[key]:g}" for key in KEYS if key in figures)
    return Profile(
        name,
        figures.get("down"),
        figures.get("up"),
        figures.get("rtt", 0.0),
        figures.get("loss", 0.0),
    )


UNITS = {"down": "mbit", "up": "mbit", "rtt": "ms", "loss": "%"}


def _number(text: str, key: str, value: str) -> float:
    found = re.fullmatch(rf"(\d+(?:\.\d+)?)({UNITS[key]})?", value, re.IGNORECASE)
    number = float(found[1]) if found else -1.0
    if found and key == "loss" and found[2]:
        number /= 100
    if number < 0 or (number == 0 and key in ("down", "up")):
        unit = {"down": "Mbit/s", "up": "Mbit/s", "rtt": "ms", "loss": "a share"}[key]
        raise ConfigError(f"--network {text}: {key} is a number ({unit}), not '{value}'")
    return number


class Passage:
    """A way to a server over a shaped link, while it is open: see `devices.passage`.

    Attributes:
        link: as records hold it.
        no_netem: why the kernel does not shape it; empty where it does.
    """

    def __init__(self, profile: Profile, host: str, port: int) -> None:
        """Make the link.

        Raises:
            DeviceError: this system does not let it be made; says what to do.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.authority = f"127.0.0.1:{listener.getsockname()[1]}"
            self._process = _started(profile, host, port, listener.fileno())
        weakref.finalize(self, _end, self._process)
        said = _first_line(self._process)
        word, _, told = said.partition(" ")
        shaper, _, self.no_netem = told.partition(" ")
        if word != "ready":
            _end(self._process)
            raise DeviceError(_refused(said))
        self.link = Link(
            name=profile.name,
            down_mbit=profile.down_mbit,
            up_mbit=profile.up_mbit,
            rtt_ms=profile.rtt_ms,
            loss=profile.loss,
            shaped_by=SHAPED_BY[shaper],
        )

    @property
    def is_open(self) -> bool:
        """Tell whether the way is still there."""
        return self._process.poll() is None

    def close(self) -> None:
        """Take the link away. Never raises; safe to call twice."""
        _end(self._process)


@cache
def check() -> str:
    """Make a link and take it away again, once a process; return what shapes it, and why.

    Raises:
        DeviceError: this system does not let it be made; says what to do.
    """
    passage = Passage(Profile("any", None, None, 0), "127.0.0.1", 9)
    passage.close()
    why = f"; the kernel's netem is not there: {passage.no_netem}" if passage.no_netem else ""
    return f"links are shaped by {passage.link.shaped_by}{why}"


def _started(profile: Profile, host: str, port: int, listener: int) -> "subprocess.Popen[str]":
    figures = {
        "up": profile.up_mbit or 0,
        "down": profile.down_mbit or 0,
        "delay": profile.rtt_ms / 2,
        "loss": profile.loss,
    }
    return subprocess.Popen(
        [
            sys.executable, str(PROGRAM), f"--listener={listener}", f"--host={host}",
            f"--port={port}", *(f"--{name}={value}" for name, value in figures.items()),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        pass_fds=[listener], start_new_session=True,
    )  # fmt: skip


def _first_line(process: "subprocess.Popen[str]") -> str:
    """Return the program's first line; end it where that does not come in time."""
    assert process.stdout
    timer = threading.Timer(START_S, process.kill)
    timer.start()
    try:
        return process.stdout.readline().strip()
    finally:
        timer.cancel()


# Where a system says what it refuses, what it says then, and the remedy.
SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns", "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=1000"),
    ("user/max_net_namespaces", "0", "sysctl user.max_net_namespaces=1000"),
)  # fmt: skip
CONTAINER = "docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun"


def _refused(said: str) -> str:
    if "No such file" in said and "'ip'" in said:
        return "--network needs the program ip: apt-get install iproute2"
    if "/dev/net/tun" in said:
        missing = "No such" in said
        remedy = "modprobe tun" if missing else "chmod 666 /dev/net/tun"
        return (
            f"--network needs /dev/net/tun ({said}): as root, type '{remedy}', or in a container "
            f"start it by '{CONTAINER}'"
        )
    return (
        f"--network needs to make network namespaces ({said or 'no answer'}): run it as root, or "
        f"let users make them: '{_switch()}'"
    )


def _switch() -> str:
    """Return what lets users make namespaces here; in a container that is its start."""
    for name, refusing, remedy in SWITCHES:
        with suppress(OSError):
            if Path("/proc/sys", name).read_text().strip() == refusing:
                return remedy
    return CONTAINER


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
