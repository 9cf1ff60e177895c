"""Where a model file's bytes are: by part and by layer, summing to the file's size exactly.

Readers of the formats (`weigh_onnx`, `weigh_tflite`, `weigh_coreml`) account for every byte; what
none of their rules reaches is `unused`, never left out.
"""

import importlib
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Literal

import msgspec

from export.arithmetic import DEQUANTIZE, LINEAR, QUANTIZE
from export.computation import INTEGER
from export.embed import format_of
from export.inspection import BATCH_NORMS, Graph, Operator, plain, readable

Kind = Literal[
    "weights", "biases", "quantization", "other constants", "names", "metadata", "structure",
    "padding", "unused", "other files",
]  # fmt: skip
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]
# Endings of a weight's name that are not the layer's.
ENDINGS = ("_quantized", "_to_fp16", ".weight", "_weight")
# What torch.export puts before the name of a parameter.
PREFIX = "p_"
ACTIVATIONS = "(activations)"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of one kind, of one layer where they belong to one."""

    kind: Kind
    layer: str
    bytes: int


# What a constant is for: its kind and its layer.
Role = tuple[Kind, str]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The same kind and layer in two files, in bytes."""

    kind: Kind
    layer: str
    bytes: int
    other: int

    @property
    def difference(self) -> int:
        """How much more there is than in the other file."""
        return self.bytes - self.other


def weigh(path: Path) -> list[Part]:
    """Account for every byte of a model file.

    Raises:
        ArtifactError: it is no model file, cannot be read, or the format's package is missing.
    """
    format = format_of(path)  # noqa: A001  the field's word
    with readable(path, format):
        found: list[Part] = importlib.import_module(f"export.weigh_{format}").weigh(path)
    return summed(found)


def summed(parts: Iterable[Part]) -> list[Part]:
    """Return one part for each kind and layer, in order of kind and of first appearance."""
    totals: dict[Role, int] = {}
    for part in parts:
        totals[part.kind, part.layer] = totals.get((part.kind, part.layer), 0) + part.bytes
    order = sorted(totals, key=lambda role: KINDS.index(role[0]))
    return [Part(kind=k, layer=layer, bytes=totals[k, layer]) for k, layer in order]


def changes(parts: list[Part], others: list[Part]) -> list[Change]:
    """Return what differs from another file, what grew most first."""
    ours, theirs = ({(p.kind, p.layer): p.bytes for p in side} for side in (parts, others))
    found = [
        Change(kind=k, layer=layer, bytes=ours.get((k, layer), 0), other=theirs.get((k, layer), 0))
        for k, layer in {**ours, **theirs}
    ]
    return sorted((c for c in found if c.difference), key=lambda c: -c.difference)


def roles(graph: Graph) -> dict[str, Role]:
    """Tell what each constant of a graph is for, by the operator that it reaches."""
    found: dict[str, Role] = {}
    origin = _origins(graph)
    for read in reads(graph):
        for name, role in read.items():
            found.setdefault(origin[name], role)
    for operator in graph.operators:  # what restores a weight belongs to the weight's layer
        if plain(operator.kind) in DEQUANTIZE and operator.inputs[0] in origin:
            layer = found.get(origin[operator.inputs[0]], ("other constants", ""))[1]
            for name in operator.inputs[1:]:
                found.setdefault(name, ("quantization", layer))
    return found


def reads(graph: Graph) -> Iterator[dict[str, Role]]:
    """Yield for each operator that computes what it reads of tensors made of constants."""
    origin, number = _origins(graph), 0
    for operator in graph.operators:
        constants = [name for name in operator.inputs if name in origin]
        if len(constants) < len(operator.inputs):
            number += plain(operator.kind) in LINEAR
            yield _operator_roles(graph, operator, constants, origin, number) if constants else {}


def _origins(graph: Graph) -> dict[str, str]:
    """Return for every tensor made of constants the one that it was unpacked from."""
    found = {name: name for name in graph.constants}
    for operator in graph.operators:
        if operator.inputs and all(name in found for name in operator.inputs):
            found[operator.outputs[0]] = found[operator.inputs[0]]
    return found


def _operator_roles(
    graph: Graph, operator: Operator, constants: list[str], origin: dict[str, str], number: int
) -> dict[str, Role]:
    kind = plain(operator.kind)
    if kind in QUANTIZE | DEQUANTIZE:
        return dict.fromkeys(constants, ("quantization", ACTIVATIONS))
    if kind in BATCH_NORMS:
        return dict.fromkeys(
            constants, ("weights", _layer(graph, operator, origin[constants[0]], number))
        )
    if kind not in LINEAR:
        return dict.fromkeys(constants, ("other constants", ""))
    weights = max(constants, key=lambda name: prod(graph.values[name].shape))
    layer = _layer(graph, operator, origin[weights], number)
    found: dict[str, Role] = dict.fromkeys(constants, ("other constants", ""))
    found |= {n: ("biases", layer) for n in constants if _is_bias(graph, n, weights)}
    return found | {weights: ("weights", layer)}


def _is_bias(graph: Graph, name: str, weights: str) -> bool:
    """Tell a bias from strides and paddings, which Core ML also holds as constants."""
    bias, kernel = graph.values[name], graph.values[weights]
    if len(bias.shape) != 1 or bias.shape[0] not in kernel.shape:
        return False
    wide = kernel.dtype in INTEGER and bias.dtype in {"int32", "int64"}
    return wide or bias.dtype == kernel.dtype


def _layer(graph: Graph, operator: Operator, weight: str, number: int) -> str:
    """Name a layer by its weights; in TFLite by kind and place where those tell no layer."""
    name = given = graph.values[weight].name or weight
    for ending in ENDINGS:
        name = name.removesuffix(ending).removeprefix(PREFIX)
    return f"{number} {operator.kind}" if weight.isdecimal() and name == given else name
