"""Static int8 for ONNX: QuantizeLinear and DequantizeLinear around what shall run in integers.

What a runtime fuses decides where the pairs stand. ONNX Runtime makes an integer operator of a node
whose inputs all come from a DequantizeLinear and whose outputs all go to a QuantizeLinear, and:

- Activations are uint8. With int8 its x86 kernels first change each tensor to uint8, and give up
  where a tensor has several readers: of MobileNet v2's 52 convolutions, 15 then ran in float.
- Weights are int8, with scales for which no pair of products saturates (see `integers.channels`):
  on processors without VNNI, full-range weights gave wrong answers, and nothing said so.
- ReLU and clips vanish into the range of what is before them. The matrix product at the end gives
  float. Softmax, normalisation and whatever has no integer kernel run in float between two pairs.
"""

import itertools
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from export import integers
from export.onnx_graph import attributes, constants, output_axis
from export.ranges import Ranges

Array = npt.NDArray[Any]
# Which give their output at the scale of their input.
MOVES = {"Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
# Worth integers where their input is in integers already.
FOLLOWERS = MOVES | {
    "Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "Sigmoid",
}  # fmt: skip
PRODUCTS = {"Conv", "Gemm", "MatMul"}
ACTIVATIONS = {"Clip", "Relu"}
MAY_END_IN_FLOAT = {"Gemm", "MatMul"}


@dataclass
class Plan:
    """What of a graph runs in integers: `nodes` by their first outputs, and the `tensors` between
    them. The range of `clipped` tensors does the work of an activation that was removed.
    """

    nodes: set[str] = field(default_factory=set)
    clipped: set[str] = field(default_factory=set)
    tensors: set[str] = field(default_factory=set)


def plan(model: onnx.ModelProto, floats: Collection[str]) -> Plan:
    """Decide what runs in integers, and remove, in place, the activations that ranges replace.

    Args:
        model: the float graph.
        floats: first outputs of the nodes that stay float.
    """
    graph, made = model.graph, Plan()
    known, readers = constants(graph), _readers(graph)
    makers: dict[str, onnx.NodeProto] = {}
    kept = []
    for node in graph.node:
        maker = makers.get(node.input[0]) if node.input else None
        if maker is not None and _absorbs(maker, node, made) and readers[node.input[0]] == 1:
            made.nodes ^= {maker.output[0], node.output[0]}
            made.clipped.add(node.output[0])
            maker.output[0] = node.output[0]
        else:
            maker = node
            kept.append(node)
            if node.output[0] not in floats and _is_integer(node, made, known):
                made.nodes.add(node.output[0])
        makers[maker.output[0]] = maker
    del graph.node[:]
    graph.node.extend(kept)
    made.tensors = _between(graph, made, known)
    return made


def _absorbs(maker: onnx.NodeProto, node: onnx.NodeProto, made: Plan) -> bool:
    return (
        node.op_type in ACTIVATIONS and maker.output[0] in made.nodes and maker.op_type not in MOVES
    )


def _is_integer(node: onnx.NodeProto, made: Plan, known: Collection[str]) -> bool:
    if node.op_type in FOLLOWERS:
        return any(name in made.nodes for name in operands(node))
    if node.op_type == "MatMul":
        return node.input[0] not in known
    if node.op_type not in PRODUCTS or any(name not in known for name in node.input[1:]):
        return False
    values = attributes(node)
    return values.get("alpha", 1.0) == values.get("beta", 1.0) == 1.0 and not values.get("transA")


def operands(node: onnx.NodeProto) -> list[str]:
    """Return the inputs that are data, and no shape, bias or bound."""
    if node.op_type == "Concat":
        return list(node.input)
    return list(node.input[: 1 if node.op_type in MOVES else 2])


def _between(graph: onnx.GraphProto, made: Plan, known: Collection[str]) -> set[str]:
    """Return what integer nodes read, and what they write where the kernel gives integers only."""
    integer = [node for node in graph.node if node.output[0] in made.nodes]
    read = {name for node in integer for name in operands(node)} - set(known)
    written = {n.output[0] for n in integer if n.op_type not in MAY_END_IN_FLOAT}
    return read | written | made.clipped


def _readers(graph: onnx.GraphProto) -> Counter[str]:
    counted = Counter(name for node in graph.node for name in node.input)
    counted.update(value.name for value in graph.output)
    return counted


class Writer:
    """Puts the pairs of a plan into its graph.

    Weights and biases keep their names. Scales, integers and restored tensors are s1, q1 and d1 and
    so on: spelt out they would be a percent of MobileNet v2's file.
    """

    def __init__(self, model: onnx.ModelProto, made: Plan, ranges: Ranges) -> None:
        """Take a graph, its plan, and the ranges of the plan's tensors."""
        self._graph, self._plan, self._ranges = model.graph, made, ranges
        self._floats = constants(model.graph)
        self._stored: dict[str, onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._scales: dict[str, tuple[np.float32, int]] = {}
        self._weights: dict[str, Array] = {}
        self._restored: dict[str, str] = {}
        self._count = itertools.count(1)

    def write(self) -> None:
        """Rewrite the graph, in place."""
        graph = self._graph
        ends = {v.name for v in graph.output} & self._plan.tensors & self._plan.nodes
        for value in graph.input:
            if value.name in self._plan.tensors:
                self._pair(value.name, value.name)
        for node in graph.node:
            self._node(node, ends)
        used = {name for node in self._nodes for name in node.input}
        kept = [t for n, t in self._floats.items() if n in used and n not in self._stored]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend([*kept, *self._stored.values()])

    def _node(self, node: onnx.NodeProto, ends: set[str]) -> None:
        """Write a node, what it reads from integers, and its output as integers."""
        made, first = self._plan, node.output[0]
        data = operands(node)
        integer = first in made.nodes
        for position, name in enumerate(node.input):
            if name in made.tensors and (integer or name in made.nodes):
                node.input[position] = self._restored[name]
        if integer:
            self._constants(node, data)
        self._nodes.append(node)
        if first in made.tensors:
            if integer and node.op_type in MOVES:
                self._scales[first] = self._scales[data[0]]
            if first in ends:
                node.output[0] = f"{first}_float"
            self._pair(first, node.output[0], first if first in ends else None)

    def _pair(self, name: str, written: str, read: str | None = None) -> None:
        """Quantize the tensor `name`, which is `written`, for those who `read` it."""
        if name not in self._scales:
            self._scales[name] = integers.activation(*self._ranges.of(name))
        scale, zero_point = self._scales[name]
        number = next(self._count)
        shared = [self._store(f"s{number}", np.asarray(scale)), self._zero_point(zero_point)]
        self._nodes.append(helper.make_node("QuantizeLinear", [written, *shared], [f"q{number}"]))
        self._restore(name, [f"q{number}", *shared], read or f"d{number}")

    def _constants(self, node: onnx.NodeProto, data: list[str]) -> None:
        """Store the weights and biases, or other constants, that an integer node reads."""
        axis = output_axis(node, self._floats)
        if axis is None:
            for position, name in enumerate(data):
                if name in self._floats:
                    node.input[position] = self._constant(name)
            return
        scale, _ = self._scales[data[0]]
        weight = node.input[1]
        bias = self._array(node.input[2]) if len(node.input) > 2 else None
        node.input[1] = self._weight(weight, node.op_type, axis, scale, bias)
        if bias is not None:
            node.input[2] = self._bias(node.input[2], bias, scale * self._weights[weight])

    def _zeros(self, kind: str, count: int) -> list[str]:
        """Return zero points that say zero: without, ONNX Runtime runs Gemm in float, not Conv."""
        if kind == "Conv":
            return []
        return [self._store(f"z_{count}", np.zeros(count, np.int8))]

    def _weight(
        self, name: str, kind: str, axis: int, scale: np.float32, bias: Array | None
    ) -> str:
        if name not in self._weights:
            floor = 0.0 if bias is None else np.abs(bias) / (float(scale) * integers.BIAS_LIMIT)
            values, spread = integers.channels(self._array(name), axis, floor, pairs=True)
            self._weights[name] = spread
            self._integers(name, values, spread, axis, *self._zeros(kind, len(spread)))
        return self._restored[name]

    def _bias(self, name: str, bias: Array, scale: Array) -> str:
        """Store a bias at the scale of the products, once for each layer that it serves."""
        while name in self._stored:
            name += "_"
        values = np.rint(bias / scale.astype(np.float64)).astype(np.int32)
        return self._integers(name, values, scale, 0)

    def _constant(self, name: str) -> str:
        if name not in self._restored:
            values = self._array(name)
            scale, zero_point = integers.activation(float(values.min()), float(values.max()))
            stored = integers.quantized(values, scale, zero_point)
            self._integers(name, stored, np.asarray(scale), None, self._zero_point(zero_point))
        return self._restored[name]

    def _integers(
        self, name: str, values: Array, scale: Array, axis: int | None, *zero_point: str
    ) -> str:
        """Store a constant as integers, under its own name; return that of its real values."""
        number = next(self._count)
        stored = [self._store(name, values), self._store(f"s{number}", scale), *zero_point]
        return self._restore(name, stored, f"d{number}", axis)

    def _restore(self, name: str, stored: list[str], read: str, axis: int | None = None) -> str:
        """Give the integers and scales `stored` back as the real tensor `read`, for `name`."""
        options = {} if axis is None else {"axis": axis}
        self._nodes.append(helper.make_node("DequantizeLinear", stored, [read], **options))
        self._restored[name] = read
        return read

    def _zero_point(self, value: int) -> str:
        return self._store(f"z{value}", np.asarray(value, np.uint8))

    def _store(self, name: str, values: Array) -> str:
        self._stored[name] = numpy_helper.from_array(values, name)
        return name

    def _array(self, name: str) -> Array:
        values: Array = numpy_helper.to_array(self._floats[name])
        return values
