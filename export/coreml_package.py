"""Writes an ``.mlpackage`` that is the same to the byte whenever its contents are the same.

coremltools' own `save` draws new UUIDs, dates the file, and adds a map for another tool's debugger.
"""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

from export.artifact import digest

AUTHOR = "com.apple.CoreML"
MODEL = "model.mlmodel"
WEIGHTS = "weights"
DATE = "com.github.apple.coremltools.conversion_date"
# What the float16 pass appends to the name of everything that it touches.
CAST = re.compile(r"_cast_fp16$")


def write(spec: Any, weights: Path, target: Path) -> None:
    """Write a specification and the weight files that it names as a package.

    Args:
        spec: a Core ML ``Model`` message that holds an ML program; it is tidied in place.
        weights: the directory of its weight files.
        target: the package to make; it must not exist.
    """
    spec.description.metadata.userDefined.pop(DATE, None)
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            if not any(operation.blocks for operation in block.operations):
                _share_constants(block)
                _shorten_names(block)
    directory = target / "Data" / AUTHOR
    (directory / WEIGHTS).mkdir(parents=True)
    (directory / MODEL).write_bytes(spec.SerializeToString(deterministic=True))
    for path in sorted(weights.iterdir()):
        copyfile(path, directory / WEIGHTS / path.name)
    (target / "Manifest.json").write_text(_manifest(directory))


def _manifest(directory: Path) -> str:
    """Return the list of a package's items, under identifiers that follow from its contents."""
    described = {MODEL: "CoreML Model Specification", WEIGHTS: "CoreML Model Weights"}
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    contents = " ".join(digest(path) for path in files)
    items = {
        str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {contents}")): {
            "author": AUTHOR,
            "description": description,
            "name": name,
            "path": f"{AUTHOR}/{name}",
        }
        for name, description in described.items()
    }
    root = next(key for key, item in items.items() if item["name"] == MODEL)
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": items,
        "rootModelIdentifier": root,
    }
    return json.dumps(manifest, indent=4, sort_keys=True) + "\n"


def _share_constants(block: Any) -> None:
    """Keep one of all constants that are equal: every convolution brings its own strides."""
    first: dict[bytes, str] = {}
    shared: dict[str, str] = {}
    kept = []
    for operation in block.operations:
        if operation.type == "const":
            value = operation.attributes["val"].SerializeToString(deterministic=True)
            (output,) = operation.outputs
            known = first.setdefault(value, output.name)
            if known != output.name and output.name not in block.outputs:
                shared[output.name] = known
                continue
        kept.append(operation)
    operations = [o.SerializeToString(deterministic=True) for o in kept]
    del block.operations[:]
    for raw in operations:
        block.operations.add().ParseFromString(raw)
    _rename(block, shared)


def _shorten_names(block: Any) -> None:
    """Give a float16 operator the name that it has in float32, where that is free."""
    taken = {output.name for operation in block.operations for output in operation.outputs}
    short: dict[str, str] = {}
    for name in sorted(taken - set(block.outputs)):
        plain = CAST.sub("", name)
        if plain not in taken:
            short[name] = plain
            taken.add(plain)
    _rename(block, short)


def _rename(block: Any, names: dict[str, str]) -> None:
    for named in _names(block):
        named.name = names.get(named.name, named.name)
    for operation in block.operations:
        label = operation.attributes["name"].immediateValue.tensor.strings.values
        label[:] = [names.get(text, text) for text in label]


def _names(block: Any) -> Iterator[Any]:
    """Give everything in a block that names a tensor."""
    for operation in block.operations:
        yield from operation.outputs
        for argument in operation.inputs.values():
            yield from (b for b in argument.arguments if b.WhichOneof("binding") == "name")
