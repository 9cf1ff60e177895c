"""A way to this machine through a shell, over a link that can be cut."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from devices.device import TransportError
from devices.remote import OwnRuntimes, RemoteDevice
from devices.transport import Ran, disclosed, enclosed

RELAY = 'cd "$0" && [ ! -e cut ] && exec sh -c "$1"'


class Shell:
    """A `devices.transport.Transport`; commands start in `home`."""

    def __init__(self, home: Path) -> None:
        self.address, self.home = str(home), home

    def argv(self, command: str) -> list[str]:
        return ["sh", "-c", RELAY, str(self.home), command]

    def run(self, command: str, timeout_s: float = 30.0) -> Ran:
        done = subprocess.run(
            self.argv(enclosed(command)), capture_output=True, text=True, timeout=timeout_s,
            check=False,
        )  # fmt: skip
        ran = disclosed(done.stdout, done.stderr)
        if ran is None:
            raise TransportError(f"{self.address}: the link is cut")
        return ran

    def put(self, files: Mapping[str, Path], timeout_s: float = 600.0) -> None:
        for path, local in files.items():
            self.run("true")
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(local, self.home / path)

    def cut(self) -> None:
        """Let nothing through, and end what runs."""
        (self.home / "cut").touch()
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop what runs, as a link without a sign of life."""
        self._signal(signal.SIGSTOP)

    def silence(self) -> None:
        """Let nothing through, and leave what runs waiting: a cable that was pulled."""
        (self.home / "cut").touch()
        self.freeze()

    def left(self) -> list[int]:
        """Return the processes that still run."""
        return self._signal(0)

    def _signal(self, number: int) -> list[int]:
        """Send a signal to what was started in `home`, whichever process group it is in."""
        reached = [p.pid for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(self.home)]
        for pid in reached:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return reached

    def mend(self) -> None:
        (self.home / "cut").unlink()


def device(home: Path, name: str = "shell") -> RemoteDevice:
    """A device of its own machine: it keeps what is sent, and its lock, below `home`."""
    home.mkdir(exist_ok=True)
    lock = str(home / "lock")
    return RemoteDevice(
        name, "shell", Shell(home), "cache", OwnRuntimes((sys.executable,)), lock=lock
    )
