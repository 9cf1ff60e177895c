"""ONNX in float16, with float32 inputs and outputs, and what float16 cannot hold left in float32.

ONNX Runtime's own tool clamps weights that are too large without a word, and writes a graph that is
not valid where a float32 operator reads one tensor twice, as a square does.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.onnx_graph import constants, kinds

# They square or exponentiate, beyond what float16 holds from 256 and 12 on.
FLOAT_OPERATORS = {
    "LRN", "LogSoftmax", "LpNormalization", "ReduceL2", "ReduceSumSquare", "Softmax",
}  # fmt: skip
# A square, and what is done with it until a root brings it back: torch's local response norm.
SUMS = {
    "Add",
    "AveragePool",
    "Mul",
    "Pad",
    "ReduceMean",
    "ReduceSum",
    "Reshape",
    "Slice",
    "Squeeze",
}
ROOTS = {"Pow", "Sqrt"}
# Inputs that are float32 by the specification: Resize's scales, and the region beside them.
FLOAT_INPUTS = {("Resize", 1), ("Resize", 2)}
LARGEST = float(np.finfo(np.float16).max)
NAMES = {TensorProto.FLOAT: "f", TensorProto.FLOAT16: "h"}


def float_nodes(model: onnx.ModelProto) -> set[str]:
    """Return the first outputs of the nodes that float16 would get wrong: operators that square or
    exponentiate, and those with a constant beyond its largest number.
    """
    large = {n for n, t in constants(model.graph).items() if _is_large(t)}
    squared: set[str] = set()
    found = set()
    for node in model.graph.node:
        inputs = set(node.input)
        square = node.op_type == "Mul" and len(inputs) == 1
        sums = square or (node.op_type in SUMS | ROOTS and bool(squared & inputs))
        if sums and node.op_type not in ROOTS:
            squared.update(node.output)
        if sums or large & inputs or node.op_type in FLOAT_OPERATORS:
            found.add(str(node.output[0]))
    return found


def _is_large(tensor: onnx.TensorProto) -> bool:
    if tensor.data_type != TensorProto.FLOAT:
        return False
    return bool(np.abs(numpy_helper.to_array(tensor)).max(initial=0.0) > LARGEST)


def halve(model: onnx.ModelProto, floats: set[str]) -> None:
    """Put a float32 graph into float16, in place, but for the nodes whose first output is given."""
    _Halver(model, floats).run()


class _Halver:
    def __init__(self, model: onnx.ModelProto, floats: set[str]) -> None:
        self._graph, self._floats = model.graph, floats
        self._constants = constants(model.graph)
        self._real = {n for n, kind in kinds(model).items() if kind == TensorProto.FLOAT}
        self._half: set[str] = set()
        self._ends = {value.name: f"{value.name}_h" for value in model.graph.output}
        self._stored: dict[str, onnx.TensorProto] = {}
        self._cast: set[str] = set()
        self._nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        graph = self._graph
        for node in graph.node:
            half = node.output[0] not in self._floats
            for position, name in enumerate(node.input):
                wants_half = half and (node.op_type, position) not in FLOAT_INPUTS
                node.input[position] = self._read(name, wants_half)
            self._nodes.append(node)
            if half:
                self._write(node)
        for end, inner in self._ends.items():
            if inner in self._half:
                self._nodes.append(_cast(inner, end, TensorProto.FLOAT))
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._stored.values())

    def _read(self, name: str, half: bool) -> str:
        """Return the tensor's name in the number type that its reader wants."""
        if name in self._constants:
            return self._constant(name, half and name in self._real)
        inner = self._ends.get(name, name)
        here = inner if inner in self._half else name
        if name not in self._real or (here in self._half) == half:
            return here
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        made = f"{here}_{NAMES[kind]}"
        if made not in self._cast:
            self._cast.add(made)
            self._nodes.append(_cast(here, made, kind))
        return made

    def _write(self, node: onnx.NodeProto) -> None:
        for position, name in enumerate(node.output):
            if name in self._real:
                node.output[position] = self._ends.get(name, name)
                self._half.add(node.output[position])
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16

    def _constant(self, name: str, half: bool) -> str:
        tensor = self._constants[name]
        stored = name
        if half:
            tensor = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name)
            if self._stored.get(name, tensor).data_type != TensorProto.FLOAT16:
                stored = f"{name}_h"
        elif self._stored.get(name, tensor).data_type != tensor.data_type:
            stored = f"{name}_f"
        self._stored[stored] = onnx.TensorProto()
        self._stored[stored].CopyFrom(tensor)
        self._stored[stored].name = stored
        return stored


def _cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], to=kind)
