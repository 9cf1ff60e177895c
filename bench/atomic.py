"""Writing a small file whole or not at all."""

import os
import tempfile
from pathlib import Path

from bench.record import BenchError


def write(path: Path, data: bytes) -> None:
    """Write `data` under a temporary name beside `path`, then rename it; parents are created.

    Raises:
        BenchError: the directory cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise BenchError(
            f"cannot write {path}: {error.strerror}; choose a place that can be written to"
        ) from None
