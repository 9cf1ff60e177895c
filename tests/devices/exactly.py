"""The exact clock for tests: set up once a session, or skipped by the name of what is missing."""

import os
import shutil

import pytest

from devices import bundle, exact

PROGRAMS = {"qemu-aarch64": "qemu-user", "cc": "gcc", "setarch": "util-linux"}


def unmet() -> str:
    """Return what this machine lacks, with the remedy; empty if it lacks nothing."""
    packages = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if packages:
        return f"the exact clock needs: apt-get install {' '.join(packages)}"
    if bundle.cached() is None and not bundle.KEYRING.is_file():
        return f"a bundle is made with Debian's apt, and {bundle.KEYRING} is not here"
    return ""


needs_exact = pytest.mark.skipif(bool(unmet()), reason=unmet() or "nothing")


def set_up(cpu: str = "cortex-a72") -> exact.ExactDevice:
    """Make what is not there yet: about a minute the first time on a machine."""
    settings = exact.Settings(cpu=cpu)
    exact.prepare(settings, print)
    return exact.make("exact", settings)


def elsewhere(directory: os.PathLike[str]) -> dict[str, str]:
    """Return another user's environment: longer, and with settings that programs look at."""
    settings = {"OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "7", "LANG": "de_DE.UTF-8"}
    return {**settings, "TMPDIR": str(directory), "LONG": "x" * 5000}
