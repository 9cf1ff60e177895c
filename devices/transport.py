"""How this host reaches a device that has a POSIX shell, and how a command's end is told there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

BEGIN, END = "::edgeworthy::begin", "::edgeworthy::end"


class Ran(NamedTuple):
    """What a command did that ran to its end."""

    code: int
    out: str
    err: str


class Transport(Protocol):
    """A way to a device that has a POSIX shell. `address` tells devices apart."""

    address: str

    def argv(self, command: str) -> list[str]:
        """Return a local program that runs a shell command there, its standard input, output and
        error connected.

        Raises:
            DeviceError: there is none, or the device cannot be reached.
        """

    def run(self, command: str, timeout_s: float = 30.0) -> Ran:
        """Run a shell command to its end.

        Raises:
            TransportError: its end was not seen.
            DeviceError: the device does not let this host in.
        """

    def put(self, files: Mapping[str, Path], timeout_s: float = 600.0) -> None:
        """Copy local files to paths there; each arrives whole, checked by its hash, or not at all.

        Raises:
            TransportError: the way failed meanwhile.
            DeviceError: they cannot be written there; says why.
        """


def enclosed(command: str) -> str:
    """Return a shell command whose output tells where it begins and ends: see `disclosed`."""
    return f"printf '%s\\n' {BEGIN}; ({command}\n); printf '\\n%s %d\\n' {END} $?"


def disclosed(out: str, err: str) -> Ran | None:
    """Return what an enclosed command did, None if its end is not there."""
    found = re.search(rf"^{BEGIN}\r?\n(.*)\n{END} (\d+)\r?\n", out, re.DOTALL | re.MULTILINE)
    return Ran(int(found[2]), found[1], err) if found else None
