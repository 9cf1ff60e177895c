"""Where the judging commands find artifacts, records and profiles, or say what is wrong."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.record import BenchError, Record
from bench.record_file import read
from export.artifact import Manifest, check_files, find, read_manifest

if TYPE_CHECKING:
    from bench.reading import Reading
    from bench.stored_profile import StoredProfile

ARTIFACTS = Path("artifacts")
RECORDS = Path("results/records.jsonl")
PROFILES = Path("results/profiles.jsonl")


def manifests(root: Path | None, wanted: Callable[[str], bool] | None = None) -> list[Manifest]:
    """Read the manifests below `root` (None: `ARTIFACTS`, if it is there), sorted by path.

    Args:
        root: a directory of artifacts.
        wanted: given an artifact's key, tells whether its files are to be compared with their
            hashes; None checks none of them.

    Raises:
        BenchError: `root` is no directory, or two artifacts have one key.
        ArtifactError: a manifest or a file is not as it should be.
    """
    if root is not None and not root.is_dir():
        raise BenchError(
            f"{root} is not a directory of artifacts; name one with --artifacts-dir DIR"
        )
    found: dict[str, Path] = {}
    result = []
    for directory in find(root or ARTIFACTS):
        manifest = read_manifest(directory)
        if manifest.key in found:
            raise BenchError(
                f"{directory} and {found[manifest.key]} are both {manifest.key}; remove one"
            )
        if wanted and wanted(manifest.key):
            check_files(directory, manifest)
        found[manifest.key] = directory
        result.append(manifest)
    return result


def records(path: Path | None) -> Iterator[Record]:
    """Yield the records of a file (None: of `RECORDS`, if it is there).

    Raises:
        BenchError: `path` cannot be read, or holds something else.
    """
    if path is not None or RECORDS.is_file():
        yield from read(path or RECORDS)


def all_records(paths: Sequence[Path]) -> Iterator[Record]:
    """Yield the records of several files, of `RECORDS` (if it is there) where none is named.

    Raises:
        BenchError: one cannot be read, or holds something else.
    """
    for path in paths or (None,):
        yield from records(path)


def readings(path: Path | None) -> "Iterator[Reading]":
    """Yield the readings of those records: see `bench.reading_file.read`.

    Raises:
        BenchError: `path` cannot be read, or holds something else.
    """
    from bench import reading_file  # and numpy with it

    if path is not None or RECORDS.is_file():
        yield from reading_file.read(path or RECORDS)


def profiles(path: Path | None) -> "list[StoredProfile]":
    """Return the latest profiles of a file (None: of `PROFILES`, if it is there).

    Raises:
        BenchError: `path` cannot be read, or holds something else.
    """
    if path is None and not PROFILES.is_file():
        return []
    from bench import stored_profile  # and numpy with it

    return stored_profile.latest(stored_profile.read(path or PROFILES))
