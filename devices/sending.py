"""What is told while something is sent to a device for more than a moment.

Commands show a screen; without one nothing is told.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

# What takes no longer is not worth a line.
FIRST_S = 1.0
EVERY_S = 1.0


class Screen(Protocol):
    """Where a person reads."""

    @property
    def is_live(self) -> bool:
        """Tell whether a line can be written over."""

    def note(self, text: str) -> None:
        """Show a line for good."""

    def live(self, text: str) -> None:
        """Show a line until the next one of the same thread, or an empty one."""


class Stderr:
    """Standard error: a terminal has a line that is written over."""

    @property
    def is_live(self) -> bool:
        """Tell whether it is a terminal."""
        return sys.stderr.isatty()

    def note(self, text: str) -> None:
        """Write a line."""
        sys.stderr.write(f"{text}\n")

    def live(self, text: str) -> None:
        """Write over the line, no more than fits."""
        sys.stderr.write(f"\r{text[: shutil.get_terminal_size().columns - 1]}\x1b[K")
        sys.stderr.flush()


_screens: list[Screen] = []


@contextmanager
def shown(screen: Screen) -> Iterator[None]:
    """Have what is sent told on a screen meanwhile, and on no other."""
    _screens.append(screen)
    try:
        yield
    finally:
        _screens.remove(screen)


def note(text: str) -> None:
    """Tell what else is done for a device that takes long."""
    if _screens:
        _screens[-1].note(text)


@contextmanager
def told(file: Path, to: str, sent: Callable[[], int] | None = None) -> Iterator[None]:
    """Tell, if that takes long, that a file is being sent: one line, or on a terminal one that says
    how far it is.

    Args:
        file: the local file.
        to: the address of the device.
        sent: returns the bytes that have gone there, None where nobody knows.
    """
    if not _screens:
        yield
        return
    done = threading.Event()
    telling = threading.Thread(target=_tell, args=(_screens[-1], file, to, sent, done), daemon=True)
    telling.start()
    try:
        yield
    finally:
        done.set()
        telling.join()


def _tell(
    screen: Screen, file: Path, to: str, sent: Callable[[], int] | None, done: threading.Event
) -> None:
    begin, size = time.monotonic(), file.stat().st_size
    if done.wait(FIRST_S):
        return
    if not screen.is_live:
        screen.note(f"sending {_name(file)} ({_mb(size)} MB) to {to}")
        return
    while True:
        seconds = f"{time.monotonic() - begin:.0f} s"
        gone = "" if sent is None else f"{_mb(sent())} of "
        screen.live(f"sending {_name(file)} to {to}: {gone}{_mb(size)} MB, {seconds}")
        if done.wait(EVERY_S):
            screen.live("")
            return


def _name(file: Path) -> str:
    """Return a file's name, of a wheel the package's and its version."""
    return " ".join(file.name.split("-")[:2]) if file.suffix == ".whl" else file.name


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}" if size < 1e7 else f"{size / 1e6:.0f}"
