"""A Linux machine over SSH, by the system's own OpenSSH: its configuration, keys and known hosts.

Who the machine is, is for OpenSSH to check: nothing here accepts a key. One connection is kept for
all commands of a process, in a private directory.
"""

import os
import re
import shlex
import shutil
import subprocess
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Annotated, Literal, NamedTuple

import msgspec

from devices import scratch, sending
from devices.device import DeviceError, Step, TransportError, UnauthorisedError
from devices.remote import OwnRuntimes, RemoteDevice
from devices.store import cannot_write, sha256
from devices.transport import Ran, disclosed, enclosed
from devices.wheels import Wheels

CONNECT_S = 10
# A connection is given up after three signs of life in a row that are not answered.
ALIVE_S = 15
PERSIST_S = 30
HANG_UP_S = 5
Text = Annotated[str, msgspec.Meta(min_length=1, pattern="^[^-]")]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a ``[devices.NAME]`` table with ``kind = "ssh"``.

    Attributes:
        host: as you would give it to ssh: an address, a name of ~/.ssh/config, USER@HOST.
        user: to log in as.
        port: of the SSH server.
        config: a file to use in place of ~/.ssh/config.
        python: the interpreter there.
        runtimes: shipped from here, or the interpreter's own.
        cache: the directory there for what is sent, from the home directory.
        cpus: the cores that workers are bound to.
        emulated: whether it is no real machine, if that cannot be found out.
    """

    host: Text
    user: Text | None = None
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    config: Text | None = None
    python: Text = "python3"
    runtimes: Literal["shipped", "own"] = "shipped"
    cache: Text = ".cache/edgeworthy"
    cpus: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)] | None = None
    emulated: bool | None = None


class Trouble(NamedTuple):
    """What OpenSSH says, the error it is, what that means, and the remedy.

    In the last two {ssh} is how to connect by hand, {known} where the host key known here is.
    """

    words: str
    error: type[DeviceError]
    told: str
    remedy: str


TROUBLES = (
    Trouble(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        UnauthorisedError,
        "its host key is not the one known here: it was installed anew, or it is another machine",
        "find out which; if it is right, remove the old key ({known}), and connect once with "
        "'{ssh}'",
    ),
    Trouble(
        r"Host key verification failed",
        UnauthorisedError,
        "its host key is not known here",
        "connect once with '{ssh}', and compare the fingerprint that it shows with the "
        "machine's own (there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)",
    ),
    Trouble(
        r"Permission denied|Too many authentication failures",
        UnauthorisedError,
        "it does not let this user in with the keys here",
        "'{ssh}' must work without a password: add your public key to ~/.ssh/authorized_keys "
        "there (ssh-copy-id), or start ssh-agent for a key with a passphrase",
    ),
    Trouble(
        r"Could not resolve hostname",
        TransportError,
        "there is no such name",
        "correct its host in devices.toml, or give it a name in ~/.ssh/config",
    ),
    Trouble(
        r"Connection refused",
        TransportError,
        "it is there, and no SSH server answers",
        "start it there (Debian: systemctl enable --now ssh), or correct its port in devices.toml",
    ),
    Trouble(
        r"timed out|No route to host|Network is unreachable|Host is down",
        TransportError,
        "it does not answer",
        "check that it is switched on, and on this network",
    ),
    Trouble(
        r"Connection (closed|reset)|kex_exchange_identification|Broken pipe",
        TransportError,
        "it ended the connection",
        "try '{ssh}'; a server that is just starting needs a moment",
    ),
    Trouble(
        r"Bad configuration option|Bad owner or permissions|Can't open user config",
        DeviceError,
        "OpenSSH does not accept its configuration ({last})",
        "correct it",
    ),
)


class SshTransport:
    """One connection to a machine, made when it is first needed."""

    def __init__(
        self,
        host: str,
        *,
        user: str | None = None,
        port: int | None = None,
        config: str | None = None,
        alive_s: int = ALIVE_S,
    ) -> None:
        """Describe the way; `alive_s`: seconds between signs of life on a silent connection."""
        self.host = host
        self.address = host if port is None else f"{host}:{port}"
        self._options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_S),
            "ServerAliveInterval": str(alive_s),
            "ServerAliveCountMax": "3",
            "ClearAllForwardings": "yes",
            "ForwardAgent": "no",
            "LogLevel": "ERROR",
            "ControlMaster": "auto",
            "ControlPersist": str(PERSIST_S),
        }
        self._chosen = [] if config is None else ["-F", str(Path(config).expanduser())]
        self._chosen += [] if user is None else ["-l", user]
        self._chosen += [] if port is None else ["-p", str(port)]

    @cached_property
    def _ssh(self) -> list[str]:
        """The program and what it is always given."""
        if shutil.which("ssh") is None:
            raise DeviceError("there is no ssh here; install OpenSSH's client (openssh-client)")
        # A socket's path may have 104 bytes at most, so not below a user's own directories.
        directory = scratch.make()
        options = [f"-o{k}={v}" for k, v in self._options.items()]
        ssh = ["ssh", "-T", *options, f"-oControlPath={directory}/c", *self._chosen]
        weakref.finalize(self, _hang_up, [*ssh, "-O", "exit", "--", self.host], directory)
        return ssh

    def argv(self, command: str) -> list[str]:
        """Return the local program that runs a shell command there.

        Raises:
            DeviceError: there is no ssh here.
        """
        # The login shell may be any; the commands are POSIX.
        return [*self._ssh, "--", self.host, f"exec sh -c {shlex.quote(command)}"]

    def run(self, command: str, timeout_s: float = 30.0) -> Ran:
        """Run a shell command to its end.

        Raises:
            TransportError: its end was not seen.
            UnauthorisedError: it does not let this host in, or is not the machine known here.
        """
        return self._run(command, timeout_s)

    def _run(self, command: str, timeout_s: float, given: IO[bytes] | None = None) -> Ran:
        try:
            done = subprocess.run(
                self.argv(enclosed(command)),
                stdin=subprocess.DEVNULL if given is None else given,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TransportError(
                f"{self.address} did not finish within {timeout_s:g} s; check the connection to it"
            ) from None
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        ran = disclosed(out, err)
        if ran is None:
            raise self._trouble(err)
        return ran

    def _trouble(self, err: str) -> DeviceError:
        last = (err.strip().splitlines() or ["it said nothing"])[-1].strip()
        for trouble in TROUBLES:
            if re.search(trouble.words, err):
                offending = re.search(r"Offending \S+ key in (.+):(\d+)", err)
                known = f"line {offending[2]} of {offending[1]}" if offending else "known_hosts"
                told = f"{trouble.told}: {trouble.remedy}"
                told = told.format(ssh=self.by_hand, known=known, last=last)
                return trouble.error(f"{self.address}: {told}")
        return TransportError(f"{self.address}: the connection ended: {last}; try '{self.by_hand}'")

    @property
    def by_hand(self) -> str:
        """The command that connects as this does."""
        return shlex.join(["ssh", *self._chosen, self.host])

    def put(self, files: Mapping[str, Path], timeout_s: float = 600.0) -> None:
        """Copy local files to paths there; each arrives whole, checked by its hash, or not at all.

        Raises:
            TransportError: the way failed meanwhile.
            DeviceError: they cannot be written there; says why.
        """
        for path, local in files.items():
            with local.open("rb") as stream, sending.told(local, self.address, _position(stream)):
                ran = self._run(receive(path, sha256(local)), timeout_s, stream)
            if ran.code:
                reason = (ran.err.strip().splitlines() or ["it arrived changed"])[-1]
                raise DeviceError(cannot_write(path, reason.rpartition(": ")[2]))


def _position(stream: IO[bytes]) -> Callable[[], int]:
    """Return how far a file was read, also by a program that was started with it."""
    return partial(os.lseek, stream.fileno(), 0, os.SEEK_CUR)


def receive(path: str, digest: str) -> str:
    """Return the shell command that writes its input to a file, unless that is cut short."""
    quoted, part = shlex.quote(path), shlex.quote(path) + ".part$$"
    folder = shlex.quote(str(Path(path).parent))
    check = f's=$(sha256sum {part}) && [ "${{s%% *}}" = {digest} ]'
    whole = f"mkdir -p {folder} && cat > {part} && {check} && mv {part} {quoted}"
    return f"{whole} || {{ rm -f {part}; exit 1; }}"


def _hang_up(command: list[str], directory: Path) -> None:
    """End the connection that is kept."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, timeout=HANG_UP_S, check=False)
    scratch.remove(directory)


def make(name: str, settings: Settings) -> RemoteDevice:
    """Return the device that a ``[devices.NAME]`` table describes."""
    transport = SshTransport(
        settings.host, user=settings.user, port=settings.port, config=settings.config
    )
    source = Wheels if settings.runtimes == "shipped" else OwnRuntimes
    return RemoteDevice(
        name,
        "ssh",
        transport,
        settings.cache.removeprefix("~/"),
        source((settings.python,)),
        cpus=settings.cpus,
        emulated=settings.emulated,
    )


def steps(device: RemoteDevice) -> Iterator[Step]:
    """Yield what can be told of a machine besides its runtimes.

    Raises:
        DeviceError: it cannot be reached.
    """
    address, cache = device.transport.address, device.store.root
    device.transport.run("true")
    yield Step(True, "connection", f"{address} lets this host in")
    room = device.store.room()
    free = f"{room.free / 1e6:.0f} MB free"
    assert isinstance(device.transport, SshTransport)
    clear = f"clear it with: {device.transport.by_hand} rm -r {shlex.quote(cache)}"
    yield Step(True, "cache", f"{cache} holds {room.used / 1e6:.0f} MB, {free}; {clear}")
