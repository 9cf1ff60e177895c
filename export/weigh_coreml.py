"""Accounts for the bytes of a Core ML package: its blob file entry by entry, its specification."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from export.inspect_coreml import (
    MODEL,
    WEIGHTS,
    blob_sizes,
    is_stored,
    read,
    specification,
    stored_values,
)
from export.weighing import Kind, Part, Role, roles

# The blob file: a header, then for each entry a description of as many bytes, its data aligned.
BLOCK = 64
# What of a compressed constant restores it rather than being it.
RESTORING = {"scale", "zero_point", "lut", "offset", "palette", "axis"}


def weigh(path: Path) -> list[Part]:
    """Account for every byte of every file of the package.

    Raises:
        ValueError: it is not an ML program, or its blob file is damaged.
    """
    spec, known = specification(path), roles(read(path))
    main = spec.mlProgram.functions["main"]
    operations = main.block_specializations[main.opset].operations
    values = [item for o in operations if is_stored(o) for item in _values(o, known)]
    parts = [*_blob(path, values), *_specification(path / MODEL, spec, values)]
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = file.relative_to(path)
        if name not in {WEIGHTS, MODEL}:
            parts.append(_part("other files", name.as_posix(), file.stat().st_size))
    return parts


def _values(operation: Any, known: dict[str, Role]) -> Iterator[tuple[Role, Any]]:
    """Yield what a constant holds, each value with its role."""
    kind, layer = known.get(operation.outputs[0].name, ("other constants", ""))
    for name, value in stored_values(operation):
        yield ("quantization" if name in RESTORING else kind, layer), value


def _blob(path: Path, values: list[tuple[Role, Any]]) -> Iterator[Part]:
    sizes = blob_sizes(path, [value for _, value in values])
    if not sizes:
        return
    known = {int(v.blobFileValue.offset): role for role, v in values}
    yield _part("structure", "", BLOCK * (1 + len(sizes)))
    for start, size in sizes.items():
        kind, layer = known[start]
        yield Part(kind=kind, layer=layer, bytes=size)
    used = BLOCK * (1 + len(sizes)) + sum(sizes.values())
    yield _part("padding", "", (path / WEIGHTS).stat().st_size - used)


def _specification(path: Path, spec: Any, values: list[tuple[Role, Any]]) -> Iterator[Part]:
    left = path.stat().st_size
    found = [
        Part(kind=role[0], layer=role[1], bytes=v.immediateValue.ByteSize())
        for role, v in values
        if v.WhichOneof("value") == "immediateValue"
    ]
    found.append(_part("metadata", "", spec.description.metadata.ByteSize()))
    found.append(_part("names", "", _names(spec)))
    yield from found
    yield _part("structure", "", left - sum(part.bytes for part in found))


def _names(spec: Any) -> int:
    """Return the bytes of all tensors' and operations' names."""
    main = spec.mlProgram.functions["main"]
    block = main.block_specializations[main.opset]
    names = [output.name for o in block.operations for output in o.outputs]
    arguments = [a for o in block.operations for a in o.inputs.values()]
    names += [bound.name for argument in arguments for bound in argument.arguments]
    titles = sum(o.attributes["name"].immediateValue.ByteSize() for o in block.operations)
    return int(titles) + sum(len(name.encode()) for name in names)


def _part(kind: Kind, layer: str, size: int) -> Part:
    return Part(kind=kind, layer=layer, bytes=size)
