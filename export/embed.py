"""The contract inside the model file itself, so that a file that strayed still explains itself.

The text is JSON under one name: ONNX's ``metadata_props``, Core ML's user-defined metadata, and a
metadata buffer of TFLite, beside the standard's own model metadata where that can express it.
Nothing of it changes what a runtime computes, and the same contract gives the same bytes.
"""

import importlib
from pathlib import Path
from typing import Any

import msgspec

from export.artifact import ArtifactError, Contract, Manifest, Quantization

KEY = "edgeworthy"
SCHEMA = 1
# Formats that can carry it; a torch program has its manifest alone.
FORMATS = ("onnx", "tflite", "coreml")
SUFFIXES = {".onnx": "onnx", ".tflite": "tflite", ".mlpackage": "coreml"}


class Embedded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model file says of itself; fields that a later version adds are passed over."""

    schema: int = SCHEMA
    network: str
    precision: str
    contract: Contract
    opset: int | None = None
    tools: dict[str, str] = {}


def described(
    network: str, precision: str, contract: Contract, made: Quantization, tools: dict[str, str]
) -> Embedded:
    """Return what is to be embedded in a file."""
    opset = made.recipe.get("opset")
    return Embedded(
        schema=SCHEMA,
        network=network,
        precision=precision,
        contract=contract,
        opset=opset,
        tools=dict(sorted(tools.items())),
    )


def write(path: Path, format: str, embedded: Embedded) -> None:
    """Embed in a model file, in place; a file of another format than `FORMATS` stays as it is."""
    if format in FORMATS:
        importlib.import_module(f"export.embed_{format}").write(path, embedded)


def text(embedded: Embedded) -> str:
    """Return what is embedded, as JSON without spaces and without what is not set."""
    return msgspec.json.encode(_set(msgspec.to_builtins(embedded))).decode()


def _set(value: Any) -> Any:
    if isinstance(value, dict):
        # That nothing is known of the preprocessing has to be said.
        return {k: _set(v) for k, v in value.items() if v is not None or k == "preprocessing"}
    return [_set(v) for v in value] if isinstance(value, list | tuple) else value


def read(path: Path, format: str) -> Embedded | None:
    """Return what a model file says of itself; None if it holds nothing of ours.

    Raises:
        ArtifactError: the file cannot be read, or what it holds is damaged.
    """
    from export.inspection import reading

    found: str | None = reading(path, format, "embedded")
    if found is None:
        return None
    try:
        return msgspec.json.decode(found, type=Embedded)
    except msgspec.MsgspecError as error:
        raise ArtifactError(f"the contract inside {path} is damaged: {error}") from None


def format_of(path: Path) -> str:
    """Return the format of a model file by its name.

    Raises:
        ArtifactError: it is no name of a model file, or there is no such file.
    """
    if path.suffix not in SUFFIXES:
        raise ArtifactError(
            f"{path} is no model file: a name ending in {', '.join(SUFFIXES)} is expected, or the "
            "directory of an artifact"
        )
    if not path.exists():
        raise ArtifactError(f"there is no file {path}")
    return SUFFIXES[path.suffix]


def differences(embedded: Embedded, manifest: Manifest) -> list[str]:
    """Return a line for every value in which a file and its artifact's manifest disagree."""
    theirs = {"network": manifest.network.name, "precision": manifest.precision}
    inside = {"network": embedded.network, "precision": embedded.precision}
    return unlike(
        inside | {"contract": embedded.contract},
        theirs | {"contract": manifest.contract},
        "the file",
        "the manifest",
    )


def unlike(a: object, b: object, name_a: str, name_b: str) -> list[str]:
    """Return ``what: A says x, B says y`` for every leaf in which two values differ."""
    ours, theirs = _leaves("", msgspec.to_builtins(a)), _leaves("", msgspec.to_builtins(b))
    return [
        f"{place}: {name_a} says {ours.get(place)}, {name_b} says {theirs.get(place)}"
        for place in sorted(ours.keys() | theirs.keys())
        if ours.get(place) != theirs.get(place)
    ]


def _leaves(place: str, value: object) -> dict[str, object]:
    if isinstance(value, dict):
        parts = [(f"{place}.{name}" if place else str(name), v) for name, v in value.items()]
    elif isinstance(value, list | tuple) and any(isinstance(v, dict) for v in value):
        parts = [(f"{place}[{number}]", v) for number, v in enumerate(value)]
    else:
        return {place: value}
    return {name: leaf for at, v in parts for name, leaf in _leaves(at, v).items()}
