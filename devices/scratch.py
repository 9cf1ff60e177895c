"""Directories for what lasts no longer than this process, and the end of those that were left.

`kill -9` leaves a directory behind. Its name holds a process's id, and a file in it is locked by
that process: the next one that needs a directory removes those of processes that are gone. Both are
looked at, as another container may share the directory and not the ids.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "edgeworthy-"
LOCK = ".in-use"
DIGITS = 7  # of the largest id that Linux gives
# The locks of this process's directories: held open, as the system unlocks them when it ends.
_held: dict[Path, int] = {}


@contextmanager
def directory(within: Path | None = None) -> Iterator[Path]:
    """Yield a new directory, which is gone afterwards; see `make`."""
    path = make(within)
    try:
        yield path
    finally:
        remove(path)


def make(within: Path | None = None) -> Path:
    """Return a new private directory, for `remove`, in the one for temporary files or hidden in
    another one.

    Its name is always of one length.

    Raises:
        OSError: it cannot be made.
    """
    parent = Path(tempfile.gettempdir()) if within is None else within
    prefix = PREFIX if within is None else f".{PREFIX}"
    _sweep(parent, prefix)
    path = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid():0{DIGITS}}-", dir=parent))
    _held[path] = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(_held[path], fcntl.LOCK_EX)
    return path


def remove(path: Path) -> None:
    """Remove a directory that `make` has returned. Never raises; safe to call twice."""
    shutil.rmtree(path, ignore_errors=True)
    if (held := _held.pop(path, None)) is not None:
        os.close(held)


def _sweep(parent: Path, prefix: str) -> None:
    for path in parent.glob(f"{prefix}*-*"):
        found = re.fullmatch(rf"{re.escape(prefix)}(\d+)-\w+", path.name)
        if found and _is_gone(int(found[1])) and _is_left(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return False


def _is_left(path: Path) -> bool:
    """Tell whether a directory is of this user and of no process."""
    with suppress(OSError):
        held = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.fstat(held).st_uid == os.geteuid() and not path.is_symlink()
        finally:
            os.close(held)
    return False
