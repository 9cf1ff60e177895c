"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.family import ModelError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; what is written there then takes the place of `path`.

    Raises:
        ModelError: the place cannot be written to.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield scratch
        scratch.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"cannot write {path}: {reason}; give another place") from None
    finally:
        scratch.unlink(missing_ok=True)
