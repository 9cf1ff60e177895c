"""Which layer of the network a runtime's operator computes, and how much work that is.

Layers go by the names that `models show` gives them. MACs and bytes are those of `models.analysis`
for a torch program; for an ONNX file they are counted on its graph by the same rules, so that files
made elsewhere have them too, with the activations' bytes as the runtime tells them.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from typing import NamedTuple, Protocol

from export.arithmetic import CONVOLUTIONS, PRODUCTS, TRANSPOSED, Flow
from export.artifact import MODEL_FILES, Manifest
from export.inspection import Operator, plain, read

# What ONNX Runtime writes around the names of nodes that it replaces.
TOKEN = re.compile(r"_token_\d+$")
PREFIXES = ("fused ", "InsertedPrecisionFreeCast_")
BLOCKED = "_nchwc"  # after the name of the tensor that the replaced nodes computed
AS_CONVOLUTION = re.compile(r"_(bn|mul)$")  # before that: a batch norm or factor, run as 1x1
FLOAT32 = 4  # bytes: ONNX Runtime's CPU kernels of float16 files compute in float32


class Timed(Protocol):
    """An operator as a runtime calls it; `activation_bytes` None: it does not tell."""

    @property
    def name(self) -> str:
        """The name, by which it is found."""

    @property
    def kind(self) -> str:
        """Which kernel it is."""

    @property
    def activation_bytes(self) -> int | None:
        """What it reads and writes besides weights."""


class Work(NamedTuple):
    """What an operator does in one invocation; `layer` empty: the runtime added it by itself.

    `kind` is depthwise, pointwise or full convolution, linear, or other. `bytes` counts each value
    that it reads or writes once, weights included; None where that is not known.
    """

    layer: str
    kind: str
    macs: int
    bytes: int | None


def attribute(directory: Path, manifest: Manifest, operators: Sequence[Timed]) -> list[Work]:
    """Return the work of each operator of an ONNX or torch artifact.

    Raises:
        ArtifactError: the file cannot be read, or the package that reads it is not installed.
    """
    path = directory / MODEL_FILES[manifest.format]
    if manifest.format == "torch":
        return _of_program(path, operators)
    batch = manifest.contract.inputs[0].shape[0]
    found = _OnnxLayers(Flow(read(path, "onnx"), "onnx"), batch)
    return [found.work(operator) for operator in operators]


def _of_program(path: Path, operators: Sequence[Timed]) -> list[Work]:
    from export import program
    from models.analysis import layers_by_node

    layers = layers_by_node(program.load(path))
    found = []
    for operator in operators:
        layer = layers.get(operator.name)  # None: it looks at memory in another way, and moves none
        if layer is None:
            found.append(Work(operator.name, "other", 0, 0))
            continue
        kind = _kind(layer.macs, layer.kind == "depthwise conv", layer.kernel)
        found.append(Work(layer.name, kind, layer.macs, layer.bytes_moved))
    return found


def _kind(macs: int, is_depthwise: bool, kernel: Sequence[int]) -> str:
    if not macs:
        return "other"
    if is_depthwise:
        return "depthwise"
    if not kernel:
        return "linear"
    return "pointwise" if prod(kernel) == 1 else "full convolution"


class _OnnxLayers:
    """A file's nodes, found by the names that ONNX Runtime gives its own."""

    def __init__(self, flow: Flow, batch: int) -> None:
        self._flow, self._batch = flow, batch
        nodes = [o for o in flow.graph.operators if o.kind != "Constant"]
        self._nodes = {f"{node.kind}_{number}": node for number, node in enumerate(nodes)}
        self._nodes |= {node.name: node for node in nodes if node.name}

    @cached_property
    def _makers(self) -> dict[str, Operator]:
        return {name: node for node in self._flow.graph.operators for name in node.outputs}

    def work(self, timed: Timed) -> Work:
        node = self._node(timed)
        if node is None:
            return Work("", "other", 0, timed.activation_bytes)
        macs, moved = self._batch * self._flow.macs(node), timed.activation_bytes
        in_float = macs > 0 and plain(timed.kind).removeprefix("fused") == plain(node.kind)
        return Work(
            layer=self._layer(node),
            kind=self._kind(node, macs),
            macs=macs,
            bytes=None if moved is None else moved + self._weight_bytes(node, in_float),
        )

    def _node(self, timed: Timed) -> Operator | None:
        """Return the file's node that an operator stands for, or for the most of what it fused."""
        name = TOKEN.sub("", timed.name)
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        if not name.endswith(BLOCKED):
            return self._nodes.get(name)
        tensor = name.removesuffix(BLOCKED)
        if tensor not in self._makers:
            return self._makers.get(AS_CONVOLUTION.sub("", tensor))
        last = self._makers[tensor]
        return next(self._back(last, plain(timed.kind)), last)

    def _back(self, node: Operator | None, kind: str) -> Iterator[Operator]:
        """Follow the first operand back to nodes of a kind."""
        while node is not None:
            if plain(node.kind) == kind:
                yield node
            data = [name for name in node.inputs if name not in self._flow.stored]
            node = self._makers.get(data[0]) if data else None

    def _weights(self, node: Operator) -> list[str]:
        return [name for name in node.inputs if name in self._flow.stored]

    def _weight_bytes(self, node: Operator, in_float: bool) -> int:
        """Return what a kernel reads of the weights: as they are stored, or restored to floats."""
        names, values = self._weights(node), self._flow.graph.values
        if in_float:
            return sum(FLOAT32 * prod(values[name].shape) for name in names if name in values)
        return sum(sum(self._flow.stored[name].values()) for name in names)

    def _layer(self, node: Operator) -> str:
        """Return the path of the module that owns the weights, else the node's own name."""
        for name in self._weights(node):
            while maker := self._makers.get(name):
                name = maker.inputs[0]  # noqa: PLW2901  back through what restores integers
            owner, _, parameter = name.rpartition(".")
            if owner and parameter == "weight":
                return owner
        return (node.name or node.outputs[0]).removeprefix("node_")

    def _kind(self, node: Operator, macs: int) -> str:
        values, kind = self._flow.graph.values, plain(node.kind)
        if kind in PRODUCTS or kind not in CONVOLUTIONS | TRANSPOSED:
            return _kind(macs, False, ())
        filters = max((values[n].shape for n in self._weights(node)), key=prod)
        data = values.get(node.inputs[0])
        channels = data.shape[1] if data and len(data.shape) > 1 else 1
        return _kind(macs, filters[1] == 1 < channels, filters[2:])
