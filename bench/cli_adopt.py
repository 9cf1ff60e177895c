"""Model files made elsewhere, among the artifacts that a command is given."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def adopted(patterns: Sequence[str]) -> Iterator[list[str]]:
    """Put an artifact made for the occasion in the place of every model file among the patterns."""
    from devices import scratch
    from export.bare import adopt, is_bare, names

    chosen = _once(name for pattern in patterns for name in _matching(pattern))
    files = [Path(name) for name in chosen if is_bare(name)]
    called = dict(zip(files, names(files), strict=True))
    with scratch.directory() as work:
        yield [
            str(adopt(Path(name), work / str(number), called[Path(name)]))
            if is_bare(name)
            else name
            for number, name in enumerate(chosen)
        ]


def _once(names: Iterable[str]) -> list[str]:
    """Return each model file once, however its path is written; other names stay."""
    from export.bare import is_bare

    return list({Path(name).resolve() if is_bare(name) else name: name for name in names}.values())


def _matching(pattern: str) -> list[str]:
    """Return the model files that a pattern names; one for artifacts stays as it is."""
    from glob import glob

    from export.bare import is_bare

    return sorted(glob(pattern)) or [pattern] if is_bare(pattern) else [pattern]  # noqa: PTH207
