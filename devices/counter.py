"""The emulator that counts: qemu's user emulation for 64-bit ARM, and the plugin that counts in it.

The plugin, `counter.c`, is compiled here for the qemu that is here, and kept by its content.
"""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import platformdirs

from devices import scratch
from devices.device import DeviceError

SOURCE = Path(__file__).with_name("counter.c")
PROGRAM = "qemu-aarch64"
# Remedies, by the program that is missing.
PACKAGES = {
    PROGRAM: "qemu-user",
    "cc": "gcc libc6-dev",
    "env": "coreutils",
    "setpriv": "util-linux",
}
# From this version on qemu refuses plugins of interface 1.
INTERFACE_2 = 9


class Emulator(NamedTuple):
    """An installed qemu: the path of its program, and its version, as ``7.2.22``."""

    program: str
    version: str

    @property
    def interface(self) -> int:
        """The version of the plugin interface to be compiled for."""
        return 2 if int(self.version.partition(".")[0]) >= INTERFACE_2 else 1


def tool(name: str) -> str:
    """Return the path of a program.

    Raises:
        DeviceError: it is not installed; says of which package it is.
    """
    if found := shutil.which(name):
        return found
    package = PACKAGES[name]
    raise DeviceError(f"{name} is not installed: type 'apt install {package}' (Debian, Ubuntu)")


def emulator() -> Emulator:
    """Return the qemu that is installed.

    Raises:
        DeviceError: there is none, or it does not tell its version.
    """
    program = tool(PROGRAM)
    told = _run([program, "--version"], "tell its version")
    found = re.search(r"version (\d+(?:\.\d+)+)", told)
    if not found:
        raise DeviceError(f"{program} tells no version: {told[:80]}")
    return Emulator(program, found[1])


def cache() -> Path:
    """Return where what is made for emulation is kept."""
    return Path(platformdirs.user_cache_dir("edgeworthy")) / "exact"


def plugin(of: Emulator) -> Path:
    """Return where the plugin for an emulator is kept, whether or not it is there."""
    made_of = SOURCE.read_bytes() + f"{of.interface} {os.uname().machine}".encode()
    name = f"counter-{hashlib.sha256(made_of).hexdigest()[:16]}.so"
    return cache() / name


def compile_plugin(of: Emulator) -> Path:
    """Compile the plugin for an emulator, if that was not done before; return where it lies.

    Raises:
        DeviceError: there is no compiler, or it fails.
    """
    place = plugin(of)
    if place.is_file():
        return place
    compiler = tool("cc")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with scratch.directory(place.parent) as work:
            made = work / place.name
            command = [compiler, "-shared", "-fPIC", "-O2", f"-DINTERFACE={of.interface}"]
            _run([*command, "-o", str(made), str(SOURCE)], "compile the counter")
            made.replace(place)
    except OSError as error:
        raise DeviceError(f"cannot write {place}: {error.strerror}") from None
    return place


def _run(command: list[str], what: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split())[:300]
        raise DeviceError(f"{command[0]} could not {what}: {said}")
    return done.stdout
