"""A model file explained: what it says of itself, what its graph shows, and where they disagree."""

from pathlib import Path

import msgspec

from export import arithmetic, embed
from export.artifact import (
    MANIFEST,
    MODEL_FILES,
    ArtifactError,
    Contract,
    Manifest,
    Tensor,
    check_files,
    read_manifest,
)
from export.computation import Computation
from export.embed import Embedded
from export.inspection import read, readable, reading
from export.interface import Picture


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """All that a model file tells. `embedded` None: it carries no contract of ours.

    `contract` is the embedded one, or what the graph alone shows; of its arrays some are `pictures`
    to an application, by name, and beside its outputs there may be `labels`, by name with their
    type. `disagreements` is a line for everything in which the file, its graph and its artifact's
    manifest differ.
    """

    path: str
    format: str
    size_bytes: int
    embedded: Embedded | None
    contract: Contract
    operators: list[arithmetic.Kind]
    computation: Computation
    disagreements: list[str]
    pictures: dict[str, Picture]
    labels: dict[str, str]

    @property
    def precision(self) -> str:
        """The precision that the file claims, or what its operators and weights amount to."""
        return self.embedded.precision if self.embedded else precision(self.computation)


def inspected(path: Path) -> Inspected:
    """Read a model file, or the one of an artifact's directory together with its manifest.

    Raises:
        ArtifactError: it is neither, or it cannot be read.
    """
    manifest = read_manifest(path) if _is_artifact(path) else None
    file = _model(path, manifest)
    format = embed.format_of(file)  # noqa: A001  the field's word
    with readable(file, format):
        return _read(path, file, format, manifest)


def _read(path: Path, file: Path, format: str, manifest: Manifest | None) -> Inspected:
    embedded, graph = embed.read(file, format), read(file, format)
    shown: Contract = reading(file, format, "interface")
    lines = _against_graph(embedded.contract, shown) if embedded else []
    if manifest:
        lines += _against_manifest(path, embedded, manifest)
    return Inspected(
        path=str(file),
        format=format,
        size_bytes=size(file),
        embedded=embedded,
        contract=embedded.contract if embedded else shown,
        operators=arithmetic.kinds(graph, format),
        computation=arithmetic.count(graph, format),
        disagreements=lines,
        pictures=reading(file, format, "pictures") if format == "coreml" else {},
        labels=reading(file, format, "labels") if format == "coreml" else {},
    )


def _is_artifact(path: Path) -> bool:
    return (path / MANIFEST).is_file() or (path.is_dir() and path.suffix != ".mlpackage")


def model_file(path: Path) -> Path:
    """Return the model file of an artifact's directory; a model file stays as it is.

    Raises:
        ArtifactError: it is a directory and no artifact, or one of the float program.
    """
    return _model(path, read_manifest(path) if _is_artifact(path) else None)


def _model(directory: Path, manifest: Manifest | None) -> Path:
    if manifest is None:
        return directory
    if manifest.format not in embed.FORMATS:
        raise ArtifactError(
            f"{directory} is the float program; 'edgeworthy models show {directory}' explains it"
        )
    return directory / MODEL_FILES[manifest.format]


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a package."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def precision(found: Computation) -> str:
    """Return the precision whose name fits how a file computes and what it stores."""
    linear = found.linear or found.operators
    most = max(linear, key=lambda dtype: linear[dtype], default="float32")
    if most == "int8":
        return "int8"
    weights = found.weight_bytes
    stored = max(weights, key=lambda dtype: weights[dtype], default="").removeprefix("u")
    if stored in {"int8", "int4"}:
        return f"{stored}-weights"
    halves = weights.get("float16", 0) > weights.get("float32", 0)
    return "fp16" if most == "float16" or halves else "fp32"


def _against_graph(embedded: Contract, graph: Contract) -> list[str]:
    """Compare with what the graph itself shows; an open batch may be called by any size."""
    found = []
    for side in ("inputs", "outputs"):
        real = {t.name: _shown(t, graph) for t in getattr(graph, side)}
        inside = {t.name: _shown(t, graph) for t in getattr(embedded, side)}
        found += embed.unlike({side: inside}, {side: real}, "the contract inside", "the graph")
    return found


def _shown(tensor: Tensor, graph: Contract) -> dict[str, object]:
    sizes = tensor.shape[1:] if graph.dynamic_batch else tensor.shape
    return {
        "shape": "x".join(map(str, sizes)),
        "dtype": tensor.dtype,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


def _against_manifest(directory: Path, embedded: Embedded | None, manifest: Manifest) -> list[str]:
    lines = embed.differences(embedded, manifest) if embedded else []
    try:
        check_files(directory, manifest)
    except ArtifactError as error:
        lines.append(str(error))
    return lines
