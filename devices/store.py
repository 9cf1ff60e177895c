"""What is kept on a device: directories named after what their files hold.

So nothing is sent twice, nothing that was changed is used, and hosts may share it. What was not
used for `DAYS` is removed.
"""

import hashlib
import shlex
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from devices.device import DeviceError
from devices.transport import Transport

DAYS = 30
HASHING_S = 120.0
UNPACKING_S = 300.0
PUTTING_S = 60.0
SLOWEST = 25_000  # bytes per second of a link that is still of use
LOST = 75  # an exit code (EX_TEMPFAIL) that no worker has
# Runs there. Tests of packages are left out; what a power cut spoils must not look whole.
UNPACK = """
import os, shutil, sys, zipfile
source, target = sys.argv[1:]
part = "%s.part%d" % (target, os.getpid())
try:
    with zipfile.ZipFile(source) as wheel:
        wheel.extractall(part, [n for n in wheel.namelist() if "/tests/" not in n])
    os.sync()
    if not os.path.isdir(target):
        os.rename(part, target)
except OSError as error:
    sys.exit(os.strerror(error.errno))
finally:
    shutil.rmtree(part, ignore_errors=True)
    os.remove(source)
"""


class Room(NamedTuple):
    """Bytes that a store takes, and that are free beside it."""

    used: int
    free: int


def sha256(path: Path) -> str:
    """Return a local file's hash in hexadecimal digits; it is read again once it was changed."""
    now = path.stat()
    return _sha256(path, now.st_size, now.st_mtime_ns)


@lru_cache(maxsize=1024)
def _sha256(path: Path, _size: int, _changed_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Store:
    """A directory on a device for what hosts send there."""

    def __init__(self, transport: Transport, root: str) -> None:
        """Take the way there and the directory, which need not exist."""
        self.transport, self.root = transport, root
        self._whole: set[str] = set()
        self._unpacked: set[str] = set()

    def doubt(self) -> None:
        """Look again at what was there before: the device may have been started anew."""
        self._whole.clear()
        self._unpacked.clear()

    def guarded(self, command: str, files: Iterable[str]) -> str:
        """Return a shell command that does nothing but end with `LOST` if one of some files, or
        anything that was unpacked, is no longer there, also where that is why the command failed.
        """
        there = f"ls -d {shlex.join([*files, *sorted(self._unpacked)])} >/dev/null 2>&1"
        failed = f"[ $c -eq 0 ] || [ $c -gt 128 ] || {there} || c={LOST}"
        return f"if {there}; then {command}; c=$?; {failed}; (exit $c); else (exit {LOST}); fi"

    def place(self, kind: str, files: Mapping[str, Path]) -> str:
        """Put files into a directory of their own, by their names in it; return the directory.

        What is there already is checked by its hash, once in this process.

        Raises:
            DeviceError: they could not be put there.
        """
        digests = {name: sha256(path) for name, path in sorted(files.items())}
        listing = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
        where = f"{self.root}/{kind}/{hashlib.sha256(listing.encode()).hexdigest()[:16]}"
        if where not in self._whole:
            there = self._digests(where, digests)
            missing = [name for name, digest in digests.items() if there.get(name) != digest]
            self._put({f"{where}/{name}": files[name] for name in missing})
            self._whole.add(where)
        return where

    def _put(self, files: Mapping[str, Path]) -> None:
        size = sum(path.stat().st_size for path in files.values())
        self.transport.put(files, PUTTING_S + size / SLOWEST)

    def _digests(self, where: str, names: Iterable[str]) -> dict[str, str]:
        """Return the hashes of those files that are there, and note that they are used."""
        look = f"cd {shlex.quote(where)} && touch . && sha256sum {shlex.join(names)}"
        lines = self.transport.run(f"{look} 2>/dev/null", HASHING_S).out.splitlines()
        return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}

    def unpack(self, wheels: Mapping[str, Path], python: Iterable[str]) -> list[str]:
        """Unpack wheels, given by their sha256, a directory each; return these.

        Args:
            wheels: their local files.
            python: the words that start Python there.

        Raises:
            DeviceError: they could not be put there.
        """
        places = {digest: f"{self.root}/packages/{digest[:16]}" for digest in wheels}
        for digest, where in places.items():
            unpack = partial(self._unpack, where, wheels[digest], python)
            self.unpacked(where, _count(wheels[digest]), unpack)
        return list(places.values())

    def unpacked(self, where: str, count: int, unpack: Callable[[], None]) -> None:
        """Have a directory of so many files there, made by `unpack` where it is not.

        Of what cleared directories for temporary files may leave, nothing is kept: a file may be
        missing anywhere. Modules that Python has compiled do not count.
        """
        if where in self._unpacked:
            return
        quoted = shlex.quote(where)
        there = f"""[ "$(find . -type f ! -name '*.pyc' | wc -l)" -eq {count} ]"""
        look = f"(cd {quoted} && touch . && {there}) 2>/dev/null || {{ rm -rf {quoted}; exit 1; }}"
        if self.transport.run(look, HASHING_S).code:
            unpack()
        self._unpacked.add(where)

    def _unpack(self, where: str, wheel: Path, python: Iterable[str]) -> None:
        sent = f"{where}.whl"
        self._put({sent: wheel})
        ran = self.transport.run(shlex.join([*python, "-c", UNPACK, sent, where]), UNPACKING_S)
        if ran.code:
            reason = (ran.err.strip().splitlines() or ["unknown"])[-1]
            raise DeviceError(cannot_write(where, reason))

    def tidy(self) -> None:
        """Remove what was not used for long."""
        old = f"-mindepth 2 -maxdepth 2 -mtime +{DAYS}"
        self.transport.run(f"find {shlex.quote(self.root)} {old} -exec rm -rf {{}} +", HASHING_S)

    def room(self) -> Room:
        """Return what the store takes and what is free there, the latter 0 where nothing tells."""
        root = shlex.quote(self.root)
        used = self.transport.run(f"du -sk {root} 2>/dev/null | cut -f1", HASHING_S).out.strip()
        told = self.transport.run(f"mkdir -p {root} && df -Pk {root} | tail -n 1").out.split()
        free = told[3] if len(told) > 3 else "0"
        return Room(1024 * int(used or 0), 1024 * int(free))


def _count(wheel: Path) -> int:
    """Return how many files `UNPACK` leaves of a wheel, without compiled modules."""
    with zipfile.ZipFile(wheel) as opened:
        names = [name for name in opened.namelist() if "/tests/" not in name]
    return sum(not name.endswith(("/", ".pyc")) for name in names)


def cannot_write(where: str, reason: str) -> str:
    """Return what to say where a device does not take a file."""
    return (
        f"cannot write {where} there: {reason}; make room, or set its cache to another directory "
        "in devices.toml"
    )
