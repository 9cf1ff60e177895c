"""A model file alone made into an artifact: the manifest that can be known, inputs to feed it."""

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from export import artifact
from export.artifact import (
    GOLDEN,
    MANIFEST,
    MODEL_FILES,
    ArtifactError,
    Contract,
    GoldenRow,
    Manifest,
    Proof,
    Quantization,
    Tensor,
)
from export.embed import SUFFIXES
from export.footprint import network
from export.given import Array, Rows, given
from export.inspected import Inspected, inspected
from export.inspection import read, readable, reading

NO_GOLDEN = "no golden data"
PROVED_LATER = "no artifact: proved where it is measured, on the test data beside it"


def is_bare(name: str) -> bool:
    """Tell whether a name is that of a model file, not of an artifact or of a network."""
    return Path(name).suffix in SUFFIXES


def names(paths: Sequence[Path]) -> list[str]:
    """Return what the networks in files are called, one name a file.

    Files of one name in several directories are several networks: these have the directories in
    their names, from where they part.
    """
    places: dict[str, set[Path]] = {}
    for path in paths:
        places.setdefault(path.stem, set()).add(path.absolute().parent)

    def name(path: Path) -> str:
        shared = os.path.commonpath(places[path.stem])
        return "-".join((*path.absolute().parent.relative_to(shared).parts, path.stem))

    return [name(path) for path in paths]


def adopt(path: Path, scratch: Path, name: str | None = None) -> Path:
    """Make an artifact of a model file, or return the one that it belongs to.

    Args:
        path: the file. Test data beside it becomes golden data (see `export.given`); without any,
            inputs are noise and nothing proves the outputs.
        scratch: an empty directory; the artifact is made below it, by hard links where it can be.
        name: what the network is called if the file does not say; the file's name if not given.

    Raises:
        ArtifactError: the file cannot be read, or cannot be fed without knowing more.
    """
    if _owned(path):
        return path.parent
    found = inspected(path)
    _check_fixed(path, found.contract)
    called = found.embedded.network if found.embedded else name or path.stem
    folder = scratch / called / found.format
    folder.mkdir(parents=True)
    _link(path, folder / MODEL_FILES[found.format])
    for beside in reading(path, found.format, "apart") if found.format == "onnx" else ():
        _link(path.parent / beside, folder / beside)
    rows = given(path, found.contract)
    np.savez(folder / GOLDEN, **(rows or _noise(found.contract.inputs)))  # type: ignore[arg-type]
    artifact.write_manifest(folder, _manifest(folder, path, found, rows, called))
    return folder


def _owned(path: Path) -> bool:
    return (path.parent / MANIFEST).is_file() and path.name in MODEL_FILES.values()


def _check_fixed(path: Path, contract: Contract) -> None:
    for tensor in contract.inputs:
        if not tensor.shape or not all(tensor.shape):
            raise ArtifactError(
                f"{path} leaves the shape of its input '{tensor.name}' open "
                f"({'x'.join(str(n or '?') for n in tensor.shape)}): fix it in the file first"
            )


def _link(source: Path, target: Path) -> None:
    """Link a file, or all files of a package; copy where links cannot be made."""
    try:
        if source.is_dir():
            shutil.copytree(source, target, copy_function=os.link)
        else:
            target.hardlink_to(source.resolve())
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, target)


def _noise(inputs: Sequence[Tensor]) -> Rows:
    """Return one row of noise an input; of whole numbers without a scale, 0 and 1 are safe."""
    rng = np.random.default_rng(0)

    def row(tensor: Tensor) -> Array:
        if tensor.dtype.startswith("float") or tensor.scale is not None:
            return rng.normal(size=tensor.shape).astype(np.float32)
        return rng.integers(0, 2, size=tensor.shape).astype(np.float32)

    return {f"in.{tensor.name}": row(tensor) for tensor in inputs}


def _manifest(folder: Path, path: Path, found: Inspected, rows: Rows | None, name: str) -> Manifest:
    inside = found.embedded
    with readable(path, found.format):
        figures = network(read(path, found.format), found.format, name)
    files = artifact.list_files(folder)
    known = len(next(iter(rows.values()))) if rows else 0
    return Manifest(
        schema=artifact.SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        network=figures,
        format=found.format,  # type: ignore[arg-type]
        precision=found.precision,  # type: ignore[arg-type]
        quantization=Quantization(weights="not known", activations="not known"),
        contract=found.contract,
        size_bytes=artifact.model_bytes(files),
        files=files,
        golden=(GoldenRow(kind="given", amplitude=1.0),) * known,
        tools=inside.tools if inside else {},
        proof=Proof(verified=None, reason=PROVED_LATER if rows else NO_GOLDEN),
        computation=found.computation,
    )
