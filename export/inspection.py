"""What an exported file computes: its operators in one form for every format, without torch.

Readers of the formats (`inspect_onnx`, `inspect_tflite`, `inspect_coreml`) give a `Graph`; what was
fused, and what was not, is told from that alone.
"""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

from export.artifact import MODEL_FILES, ArtifactError, Manifest

Place = Literal["interface", "weights", "inside"]
# Bytes by number type.
Bytes = dict[str, int]

# Each kind as the formats write it, in lower case without underscores.
BATCH_NORMS = {"batchnorm", "batchnormalization"}
ACTIVATIONS = {
    *("clip", "elu", "gelu", "hardsigmoid", "hardswish", "leakyrelu", "logistic", "prelu", "relu"),
    *("relu6", "sigmoid", "sigmoidhard", "silu", "swish", "tanh"),
}
CONVERSIONS = {"cast", "dequantize", "dequantizelinear", "quantize", "quantizelinear"}
LAYOUTS = {"transpose"}
PADDING = {"pad", "padv2"}


@dataclass(frozen=True)
class Operator:
    """One operator of a file. `inputs` and `outputs` name tensors; shape and type are the first
    output's, an open dimension counted as 1; `weight_bytes` is what it reads of the file; `fused`
    is the activation that the file says it applies; `name` is the file's own, where it has one.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_shape: tuple[int, ...]
    dtype: str
    output_bytes: int
    weight_bytes: int = 0
    fused: str = ""
    place: Place = "inside"
    name: str = ""


@dataclass(frozen=True)
class Value:
    """What is known of a tensor of a graph; an open dimension is counted as 1. `name` is the file's
    own where its operators go by numbers.
    """

    shape: tuple[int, ...]
    dtype: str
    name: str = ""


@dataclass(frozen=True)
class Graph:
    """A file's operators in order, and its own inputs and outputs.

    `constants` holds the bytes that the file stores for a tensor, by number type: a compressed one
    has several. `values` describes every tensor whose type the file tells.
    """

    operators: tuple[Operator, ...]
    inputs: frozenset[str]
    outputs: frozenset[str]
    constants: dict[str, Bytes]
    values: dict[str, Value]


def inspect(directory: Path, manifest: Manifest) -> list[Operator]:
    """Read an artifact's operators; conversions are placed, and weights counted where they go.

    Raises:
        ArtifactError: the format's package is not installed, or the file cannot be read.
    """
    path = directory / MODEL_FILES[manifest.format]
    with readable(path, manifest.format):
        return list(placed(read(path, manifest.format)))


def read(path: Path, format: str) -> Graph:
    """Read a model file's graph.

    Raises:
        ArtifactError: the format's package is not installed, or the file cannot be read.
    """
    graph: Graph = reading(path, format, "read")
    return graph


def reading(path: Path, format: str, what: str) -> Any:
    """Return what a function of the format's reader, by name, gives for a model file.

    Raises:
        ArtifactError: the format's package is not installed, or the file cannot be read.
    """
    with readable(path, format):
        return getattr(importlib.import_module(f"export.inspect_{format}"), what)(path)


@contextmanager
def readable(path: Path, format: str) -> Iterator[None]:
    """Refuse a model file that cannot be read, or whose graph makes no sense to who follows it.

    Raises:
        ArtifactError: the format's package is not installed, or the file cannot be read.
    """
    try:
        yield
    except (ArtifactError, MemoryError):
        raise
    except ImportError as error:
        raise ArtifactError(
            f"reading {path} needs {error.name}: pip install 'edgeworthy[{format}]'"
        ) from None
    # A flipped byte can make a schema's own code, or shape inference, raise anything.
    except Exception as error:
        raise ArtifactError(f"cannot read {path}: {_fault(error)}; export it again") from None


def _fault(error: Exception) -> str:
    """Return in one line what is wrong with a file; a ValueError is in the readers' own words."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    words = " ".join(str(error).split())
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return words
    return f"it is damaged ({type(error).__name__}: {words})"


def stored(graph: Graph) -> dict[str, Bytes]:
    """Return the bytes behind each tensor that is a constant, or is made from constants alone."""
    found = dict(graph.constants)
    for operator in graph.operators:
        if all(name in found for name in operator.inputs):
            found[operator.outputs[0]] = merged(found[name] for name in operator.inputs)
    return found


def merged(parts: Iterable[Bytes]) -> Bytes:
    """Return the sums by number type."""
    total: Bytes = {}
    for part in parts:
        for dtype, size in part.items():
            total[dtype] = total.get(dtype, 0) + size
    return total


def placed(graph: Graph) -> Iterator[Operator]:
    """Follow the weights through what converts them to the operators that use them."""
    weights = stored(graph)
    for operator in graph.operators:
        read = merged(weights[name] for name in operator.inputs if name in weights)
        place: Place = "inside"
        if all(name in weights for name in operator.inputs):
            place = "weights"
        elif graph.inputs & {*operator.inputs} or graph.outputs & {*operator.outputs}:
            place = "interface"
        yield replace(operator, weight_bytes=sum(read.values()), place=place)


def plain(kind: str) -> str:
    """Return an operator's kind as the sets above hold it."""
    return kind.lower().replace("_", "")


def findings(operators: Sequence[Operator], format: str) -> list[str]:
    """Say in words what was fused and what stands alone."""
    return [
        _batch_norms(operators),
        _activations(operators),
        *_conversions(operators, format),
        *_alone(operators, LAYOUTS, "layout"),
        *_alone(operators, PADDING, "padding"),
    ]


def _batch_norms(operators: Sequence[Operator]) -> str:
    left = _count(operators, BATCH_NORMS)
    return f"batch norm: {left} left as operators" if left else "batch norm: none left to compute"


def _activations(operators: Sequence[Operator]) -> str:
    fused = [operator for operator in operators if operator.fused]
    alone = _count(operators, ACTIVATIONS)
    return f"activations: {len(fused)} fused in the file, {alone} as operators of their own"


def _conversions(operators: Sequence[Operator], format: str) -> Iterator[str]:
    """Count conversions of number types by place; ONNX's inside come in pairs by design."""
    found = [operator for operator in operators if plain(operator.kind) in CONVERSIONS]
    places = ("interface", "weights", "inside")
    counts = {place: sum(operator.place == place for operator in found) for place in places}
    if not found:
        return
    inside = f"{counts['inside']} inside"
    if counts["inside"] and format == "onnx":
        inside += " (QDQ pairs, fused on loading)"
    elif counts["inside"]:
        inside += ", which cost time on the device"
    yield (
        f"conversions: {counts['interface']} at the interface, {counts['weights']} of weights, "
        + inside
    )


def _alone(operators: Sequence[Operator], kinds: set[str], what: str) -> Iterator[str]:
    if found := _count(operators, kinds):
        yield f"{what}: {found} as operators of their own"


def _count(operators: Sequence[Operator], kinds: set[str]) -> int:
    return sum(plain(operator.kind) in kinds for operator in operators)


def tensor_bytes(shape: Sequence[int], item_bytes: int) -> int:
    """Return the bytes of a tensor."""
    return prod(shape) * item_bytes
