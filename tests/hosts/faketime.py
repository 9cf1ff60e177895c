"""A wall clock that can be set for some programs only: Debian's libfaketime.

Linux has a wall clock for the whole machine. The library answers a program's looks at it, with the
true time and an offset that a file holds; clocks that count since the start stay as they are.
"""

from pathlib import Path

from tests.hosts.cache import built, run
from tests.hosts.userland import SUITE, mirror

LIBRARY = "libfaketimeMT.so.1"
FOLDERS = {"arm64": "aarch64-linux-gnu", "amd64": "x86_64-linux-gnu"}


def library(architecture: str) -> Path:
    """Return the library for an architecture, fetched where it is not there."""

    def extract(directory: Path) -> None:
        run(
            "mmdebstrap", "--quiet", "--mode=root", "--variant=extract", "--include=libfaketime",
            f"--architectures={architecture}", '--aptopt=Acquire::Languages "none"',
            SUITE, directory, f"deb {mirror()} {SUITE} main",
        )  # fmt: skip

    root = built(f"faketime-{architecture}", f"{SUITE} libfaketime", extract)
    return root / "usr/lib" / FOLDERS[architecture] / "faketime" / LIBRARY


def environment(library: Path, offset: Path) -> dict[str, str]:
    """Return what a program is to find in its environment to have the clock of a file."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def set_off(offset: Path, by: str) -> None:
    """Let the clock jump, for whoever looks next."""
    new = offset.with_suffix(".new")
    new.write_text(f"{by}\n")
    new.replace(offset)
