"""A wall clock that can be set for some programs only: see `wall_clock.c`."""

from pathlib import Path

from tests.hosts.cache import built, run

LIBRARY = "wall_clock.so"
SOURCE = Path(__file__).with_suffix(".c")
COMPILERS = {"arm64": "aarch64-linux-gnu-gcc", "own": "cc"}


def library(architecture: str) -> Path:
    """Return the library for arm64 or this machine's own, compiled where it is not there."""

    def compile_source(directory: Path) -> None:
        options = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror")
        run(COMPILERS[architecture], *options, "-o", directory / LIBRARY, SOURCE)

    return built(f"wall-clock-{architecture}", SOURCE.read_text(), compile_source) / LIBRARY


def environment(library: Path, offset: Path) -> dict[str, str]:
    """Return what a program must find in its environment to have the clock of a file."""
    return {"LD_PRELOAD": str(library), "WALL_CLOCK": str(offset)}


def set_off(offset: Path, seconds: int) -> None:
    """Let the clock jump to so many seconds off the true one, for whoever looks next."""
    new = offset.with_suffix(".new")
    new.write_text(f"{seconds}\n")
    new.replace(offset)
