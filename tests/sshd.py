"""A board for tests: this machine behind a real SSH server of its own, on a port of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="no OpenSSH server (openssh-server) here")

SERVER = """
ListenAddress 127.0.0.1:{port}
HostKey {place}/host
AuthorizedKeysFile {place}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
SetEnv TMPDIR={place}/tmp
"""
CLIENT = """
Host board
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {place}/user
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {place}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""


class Board:
    """A running server; `config` is for ``ssh -F``, which then knows it as ``board``."""

    def __init__(self, place: Path) -> None:
        self.place, self.port = place, free_port()
        for name in ("host", "user", "other"):
            make_key(place / name)
        (place / "tmp").mkdir()
        self.config = self.write_config("config")
        self.know(place / "host.pub")
        names = {"place": place, "port": self.port}
        (place / "sshd_config").write_text(SERVER.format(**names))
        Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None
        assert SSHD
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", place / "sshd_config", "-E", place / "log"],
            stdin=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 10
        while not answers(self.port):
            assert self.process.poll() is None, (self.place / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.02)

    def write_config(self, name: str, **changes: object) -> Path:
        """Write a client's configuration, with some words replaced by others."""
        text = CLIENT.format(place=self.place, port=self.port, user=getpass.getuser())
        for old, new in changes.items():
            text = "\n".join(
                f"    {old} {new}" if line.strip().startswith(f"{old} ") else line
                for line in text.splitlines()
            )
        path = self.place / name
        path.write_text(text)
        return path

    def know(self, key: Path, file: str = "known_hosts") -> Path:
        """Write down which key the server has."""
        kind, data, *_ = key.read_text().split()
        path = self.place / file
        path.write_text(f"[127.0.0.1]:{self.port} {kind} {data}\n")
        return path

    def sessions(self) -> list[psutil.Process]:
        """Return the server's processes for the connections that are open, and what they run."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def servers(self) -> list[psutil.Process]:
        """Return the server's own processes for the connections that are open."""
        return [process for process in self.sessions() if name(process).startswith("sshd")]

    def workers(self, cache: Path) -> list[psutil.Process]:
        """Return the running workers that were sent to a cache."""
        started = f"{cache}/worker/"
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if any(word.startswith(started) for word in process.info["cmdline"] or ())
        ]

    def stop(self) -> None:
        for process in [*self.sessions(), psutil.Process(self.process.pid)]:
            with_signal(process, signal.SIGKILL)
        self.process.wait()


def name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return "gone"


def with_signal(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def make_key(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path], check=True
    )


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def board(place: Path) -> Iterator[Board]:
    """Start a server with its files in an empty directory."""
    running = Board(place)
    try:
        yield running
    finally:
        running.stop()
