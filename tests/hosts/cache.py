"""What is built once and kept: directories named after the recipe that they are made by."""

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs


class BuildError(Exception):
    """A host cannot be built or started here; the message says why and what to do."""


def root() -> Path:
    """Return the directory that everything is kept in."""
    return platformdirs.user_cache_path("edgeworthy") / "hosts"


def built(name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    """Return the directory that `make` fills by `recipe`: made whole, once, by one process."""
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    path = root() / f"{name}-{digest}"
    if path.is_dir():
        return path
    with _locked(name):
        if not path.is_dir():
            with tempfile.TemporaryDirectory(dir=root(), prefix=f".{name}-") as scratch:
                new = Path(scratch) / name
                new.mkdir()
                make(new)
                new.rename(path)
    return path


@contextmanager
def _locked(name: str) -> Iterator[None]:
    root().mkdir(parents=True, exist_ok=True)
    with (root() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """Run a command and return what it prints.

    Raises:
        BuildError: it failed; quotes its last words.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise BuildError(f"{words[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        last = " ".join(str(error.stderr).strip().splitlines()[-5:])
        raise BuildError(f"{words[0]} failed ({error.returncode}): {last}") from None
    return done.stdout
