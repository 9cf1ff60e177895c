"""Android's debug bridge: what it sees, and a shell on one device.

Its program `adb` has manners that are handled here: `adb shell` ends with 0 when the device dies
(so every command's end is marked), it waits for ever on a dead link while `adb devices` still says
"device" (so everything has a time limit), and after a reboot "already connected" is true of a
connection that is dead (so it is ended first).
"""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from devices import sending
from devices.device import ConfigError, DeviceError, TransportError, UnauthorisedError
from devices.store import cannot_write, sha256
from devices.transport import BEGIN, Ran, disclosed, enclosed

DEVICES_S = 10.0
CONNECT_S = 5.0
PAUSE_S = 0.05
LINE = re.compile(
    r"(?P<serial>\(no serial number\)|\S+)\s+(?P<state>no permissions|\w+)(?P<rest>.*)"
)
CLASH = "doesn't match this client"


class Listed(NamedTuple):
    """A line of `adb devices -l`; `state` is adb's word for it."""

    serial: str
    state: str
    model: str
    product: str


class Remedy(NamedTuple):
    """What a state of adb's means to a user, and what to do about it."""

    error: type[DeviceError]
    text: str


READY, ABSENT = "device", "absent"
CONNECTING = (ABSENT, "offline", "authorizing", "connecting")
TAP = (
    "unlock the phone and tap 'Allow' below 'Allow USB debugging?'; if it does not ask, plug it in "
    "again, or revoke the USB debugging authorisations in its developer options"
)
REMEDIES = {
    "unauthorized": Remedy(UnauthorisedError, f"it has not accepted this computer yet: {TAP}"),
    "authorizing": Remedy(UnauthorisedError, "it is just being asked to accept this computer"),
    "offline": Remedy(
        TransportError,
        "adb knows it, but gets no answer: wake it up, plug it in again, or: adb reconnect offline",
    ),
    "connecting": Remedy(TransportError, "adb is just connecting to it: try again in a moment"),
    "no permissions": Remedy(
        DeviceError,
        "this user may not open it: install the udev rules with 'apt install "
        "android-sdk-platform-tools-common', join the group plugdev, and plug it in again",
    ),
    ABSENT: Remedy(
        TransportError,
        "adb does not see it: plug it in, and enable USB debugging in its developer options",
    ),
}
OTHER = "it is in the mode '{state}', where nothing can be measured: adb -s {serial} reboot"
NO_ADB = "adb is not installed: install it with 'apt install adb' or as Android's platform-tools"


def remedy(serial: str, state: str) -> Remedy:
    """Return what keeps a device in one of adb's states from being used."""
    other = Remedy(DeviceError, OTHER.format(state=state, serial=shlex.quote(serial)))
    return REMEDIES.get(state, other)


def listed(adb: str = "adb") -> list[Listed]:
    """Return what adb sees; starts its server where none runs.

    Raises:
        DeviceError: there is no adb, or it does not answer.
    """
    return parse(_adb([adb, "devices", "-l"], DEVICES_S).stdout)


def parse(text: str) -> list[Listed]:
    """Return the devices that `adb devices -l` has printed."""
    found = []
    for line in text.splitlines():
        match = LINE.fullmatch(line.strip())
        if match and not line.startswith(("List of devices", "*", "adb ")):
            told = dict(re.findall(r"\b(model|product):(\S+)", match["rest"]))
            model, product = (told.get(key, "") for key in ("model", "product"))
            found.append(Listed(match["serial"], match["state"], model, product))
    return found


def _adb(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run adb to its end, whatever its exit code.

    Raises:
        DeviceError: there is none.
        TransportError: it did not end in time.
    """
    if shutil.which(command[0]) is None:
        raise DeviceError(NO_ADB)
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        said = f"adb {' '.join(command[1:4])[:60]} did not end within {timeout_s:g} s"
        raise TransportError(f"{said}: is the link dead? Try: adb reconnect offline") from None


class AdbTransport:
    """A `devices.transport.Transport` to an Android device, as its user `shell`."""

    def __init__(
        self, serial: str | None = None, *, network: str | None = None, adb: str = "adb"
    ) -> None:
        """Describe the way; nothing is started.

        Args:
            serial: what adb calls the device; None for the only one that it sees.
            network: its host and port, where it is reached so: it is connected to if need be.
            adb: the program.
        """
        self._serial, self._network, self._program = network or serial, network, adb
        self.address = self._serial or "the only one"

    @cached_property
    def serial(self) -> str:
        """What adb calls the device.

        Raises:
            DeviceError: there is none, or there are several.
        """
        if self._serial is not None:
            return self._serial
        found = [one.serial for one in listed(self._program)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise TransportError(f"no phone: {REMEDIES[ABSENT].text}")
        several = f"adb sees {', '.join(found)}: give one as serial = '...' in devices.toml"
        raise ConfigError(several)

    def argv(self, command: str) -> list[str]:
        """Return a program of this machine that runs a shell command there, connected to it.

        Raises:
            DeviceError: the device cannot be used; says what to do on it.
        """
        self.connect()
        return self._shell(command)

    def _shell(self, command: str) -> list[str]:
        return self._command("shell", "-T", command)

    def _command(self, *words: str) -> list[str]:
        return [self._program, "-s", self.serial, *words]

    def run(self, command: str, timeout_s: float = 30.0) -> Ran:
        """Run a shell command there to its end; a connection that is found dead is made anew.

        Raises:
            DeviceError: it cannot be used; says what to do on the device.
            TransportError: it went away, or did not answer in time.
        """
        for is_last in (False, True):
            self.connect()
            done = _adb(self._shell(enclosed(command)), timeout_s)
            if ran := disclosed(done.stdout, done.stderr):
                return ran
            if is_last or BEGIN in done.stdout:
                break
        raise self._gone(done.stderr)

    def _gone(self, stderr: str) -> DeviceError:
        """Return the error of a command that did not come to its end."""
        last = " ".join(stderr.split())[-300:]
        if CLASH in stderr:
            return TransportError(
                f"two versions of adb take this machine's adb server from each other ({last}): use "
                "one, as the one of Android Studio, by putting it first on PATH"
            )
        state = self.state()
        if state != READY:
            return self._refusal(state)
        return TransportError(f"{self.serial} went away during a command{last and f': {last}'}")

    def state(self) -> str:
        """Return adb's word for the device, `ABSENT` if it does not see it."""
        states = {one.serial: one.state for one in listed(self._program)}
        return states.get(self.serial, ABSENT)

    def _refusal(self, state: str) -> DeviceError:
        why = remedy(self.serial, state)
        return why.error(f"{self.serial}: {why.text}")

    def connect(self) -> None:
        """See that it can be used; one at an address is connected to anew where it is not.

        Raises:
            DeviceError: it cannot, and why.
        """
        state = self.state()
        if state in (ABSENT, "offline") and self._network:
            state = self._reconnect(self._network)
        if state != READY:
            raise self._refusal(state)

    def _reconnect(self, address: str) -> str:
        """Connect anew, which a phone that is just starting refuses for a while."""
        deadline, state, said = time.monotonic() + CONNECT_S, ABSENT, ""
        while state in CONNECTING and time.monotonic() < deadline:
            if state == ABSENT:
                _adb([self._program, "disconnect", address], CONNECT_S)
                said = _adb([self._program, "connect", address], CONNECT_S).stdout.strip()
            time.sleep(PAUSE_S)
            state = self.state()
        if state == ABSENT:
            raise TransportError(
                f"adb cannot connect to {address} ({said or 'no answer'}): is it awake, in this "
                "network, with wireless debugging enabled?"
            )
        return state

    def put(self, files: Mapping[str, Path], timeout_s: float = 600.0) -> None:
        """Put files there, each whole or not at all: remote paths to local files.

        Raises:
            DeviceError: there is no room, or no right to write there.
            TransportError: it went away, or what arrived is not what was sent.
        """
        if not files:
            return
        coming = {f"{path}.{os.getpid()}": file for path, file in files.items()}
        try:
            self._make_directories(files)
            for path, file in coming.items():
                self._push(file, path, timeout_s)
            self._check(coming, timeout_s)
            moves = [shlex.join(["mv", new, old]) for new, old in zip(coming, files, strict=True)]
            self._write(" && ".join(moves), next(iter(files)))
        except BaseException:
            with suppress(DeviceError):
                self.run(f"rm -f {shlex.join(coming)}", CONNECT_S)
            raise

    def _make_directories(self, files: Mapping[str, Path]) -> None:
        parents = sorted({str(PurePosixPath(path).parent) for path in files})
        self._write(f"mkdir -p {shlex.join(parents)}", parents[0])

    def _write(self, command: str, path: str) -> None:
        ran = self.run(command)
        if ran.code:
            raise DeviceError(cannot_write(path, " ".join(ran.err.split())[-200:]))

    def _push(self, file: Path, path: str, timeout_s: float) -> None:
        with sending.told(file, self.serial):
            done = _adb(self._command("push", str(file), path), timeout_s)
        if done.returncode == 0:
            return
        said = " ".join((done.stderr or done.stdout).split())
        if self.state() != READY:
            raise self._gone(said)
        raise DeviceError(cannot_write(path, said.rpartition("': ")[2][-200:]))

    def _check(self, coming: Mapping[str, Path], timeout_s: float) -> None:
        lines = self.run(f"sha256sum {shlex.join(coming)}", timeout_s).out.splitlines()
        sums = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
        for path, file in coming.items():
            if sums.get(path) != sha256(file):
                raise TransportError(f"{path} did not arrive whole on {self.serial}: try again")
