"""Runtimes for a board, from wheels that this host downloads: pinned, hashed, sent, unpacked there.

The board needs neither network nor pip. `devices/locks` holds a file for each runtime, Python and
architecture that there are wheels for, made by docs/lock_wheels.py.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import platformdirs

from devices import scratch, sending
from devices.device import DeviceError, TransportError
from devices.local import RUNTIMES
from devices.store import Store, sha256

LOCKS = Path(__file__).with_name("locks")
# The C library that a wheel may ask for: its tags, newest first, as PEP 600 names them.
GLIBCS = ((2, 28), (2, 27), (2, 26), (2, 24), (2, 17))
DOWNLOAD_S = 900.0
OWN = "runtimes = 'own' in devices.toml uses those that its own Python has"


class Target(NamedTuple):
    """What a wheel is made for: ``cp311``, ``aarch64``."""

    python: str
    architecture: str

    @property
    def download(self) -> list[str]:
        """The options by which pip chooses its wheels."""
        platforms = [f"manylinux_{a}_{b}_{self.architecture}" for a, b in GLIBCS]
        chosen = [
            f"--platform={name}" for name in (*platforms, f"manylinux2014_{self.architecture}")
        ]
        version = f"{self.python[2]}.{self.python[3:]}"
        only = ["--only-binary=:all:", "--no-deps", "--implementation=cp"]
        return [*only, f"--python-version={version}", *chosen]

    def lock(self, runtime: str) -> Path:
        """Return the file that pins what a runtime needs, which may not exist."""
        return LOCKS / f"{runtime}-{self.python}-{self.architecture}.txt"


class Wheels:
    """Gives a board's own Python the runtimes: a `devices.remote.Provisioner`."""

    def __init__(self, python: Sequence[str]) -> None:
        """Take the words that start Python there."""
        self._python = tuple(python)

    def python(self, store: Store) -> Sequence[str]:
        """Return the words that start Python there."""
        return self._python

    def runtimes(self, format: str, found: Mapping[str, str], store: Store) -> list[str]:
        """Return the runtimes for `format` that there are wheels of.

        Raises:
            DeviceError: there are none for such a board; says why.
        """
        target = self._target(found)
        return [name for name in RUNTIMES.get(format, {}) if target.lock(name).is_file()]

    def environment(
        self, runtime: str, found: Mapping[str, str], store: Store
    ) -> Mapping[str, str]:
        """Put the wheels there, and return where Python finds what they hold.

        Raises:
            DeviceError: they cannot be had, or not be put there.
        """
        lock = self._target(found).lock(runtime)
        if not lock.is_file():
            raise DeviceError(f"there are no wheels of {runtime} for this board; {OWN}")
        wheels = downloaded(lock, self._target(found))
        return {"PYTHONPATH": ":".join(store.unpack(wheels, self._python))}

    def _target(self, found: Mapping[str, str]) -> Target:
        version = found["python"].split(".")
        target = Target(f"cp{version[0]}{version[1]}", found.get("architecture", "unknown"))
        library, _, release = found.get("libc", "").partition(" ")
        if not any(LOCKS.glob(f"*-{target.python}-{target.architecture}.txt")):
            raise DeviceError(_no_wheels(target))
        if library != "glibc" or _numbers(release) < GLIBCS[0]:
            needs = ".".join(map(str, GLIBCS[0]))
            raise DeviceError(
                f"its C library is {found.get('libc', 'unknown')}, the runtimes' wheels need "
                f"glibc {needs} or newer; {OWN}"
            )
        return target


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release))


def _no_wheels(target: Target) -> str:
    names = {path.stem.split("-", 1)[1] for path in LOCKS.glob("*.txt")}
    there = ", ".join(sorted(names, key=lambda name: (name.split("-")[1], _numbers(name))))
    return (
        f"there are no wheels of the runtimes for {target.python} on {target.architecture}, only "
        f"for {there}; {OWN} (32-bit ARM is untested)"
    )


def downloaded(lock: Path, target: Target) -> dict[str, Path]:
    """Return the wheels of a lock file by their sha256, downloaded if they are not here yet.

    Raises:
        TransportError: pip could not get them.
        DeviceError: there is no pip here, or they cannot be kept.
    """
    digests = re.findall(r"--hash=sha256:([0-9a-f]{64})", lock.read_text(encoding="utf-8"))
    kept = Path(platformdirs.user_cache_dir("edgeworthy")) / "wheels"
    if not all(_wheel(kept, digest) for digest in digests):
        _download(lock, target, kept)
    return {digest: _checked(kept, digest, lock) for digest in digests}


def _wheel(kept: Path, digest: str) -> Path | None:
    return next((kept / digest).glob("*.whl"), None)


def _checked(kept: Path, digest: str, lock: Path) -> Path:
    wheel = _wheel(kept, digest)
    if wheel is None or sha256(wheel) != digest:
        raise DeviceError(f"{kept / digest} does not hold what {lock.name} asks for; remove it")
    return wheel


def _download(lock: Path, target: Target, kept: Path) -> None:
    """Have pip get the wheels, which checks their hashes, and keep each under its own."""
    sending.note(f"downloading the wheels of {lock.stem}")
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with scratch.directory(kept) as work:
            _pip(["download", "--require-hashes", f"--dest={work}", *target.download], lock)
            for wheel in work.glob("*.whl"):
                place = kept / sha256(wheel)
                place.mkdir(exist_ok=True)
                wheel.replace(place / wheel.name)
    except OSError as error:
        raise DeviceError(
            f"cannot keep wheels in {kept}: {error.strerror}; set XDG_CACHE_HOME to a directory "
            "that can be written to"
        ) from None


def _pip(arguments: Sequence[str], lock: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    try:
        done = subprocess.run(
            [*command, f"--requirement={lock}"],
            capture_output=True, text=True, timeout=DOWNLOAD_S, check=False, env=os.environ,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TransportError(f"pip did not get the wheels of {lock.name} in time") from None
    if "No module named pip" in done.stderr:
        raise DeviceError(
            f"there is no pip for {sys.executable} to download the board's wheels with; "
            "install it with: python3 -m ensurepip"
        )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        last = (lines or done.stderr.splitlines() or ["unknown"])[-1].removeprefix("ERROR: ")
        raise TransportError(f"pip cannot download the wheels of {lock.name}: {last[:300]}")
