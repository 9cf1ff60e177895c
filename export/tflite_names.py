"""Finds a network's layers again in a TFLite file, and names the file's tensors after them.

A converter's own names say which of its passes made a tensor, at a hundred bytes each.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from export.layers import Step, WeightedLayer, between

Array = npt.NDArray[Any]
KINDS = {number: kind.lower() for kind, number in vars(schema.BuiltinOperator).items()}
# For each operator with weights: which input they are, and their axes in torch's order.
WEIGHTS = {
    "conv_2d": (1, (0, 3, 1, 2)),
    "depthwise_conv_2d": (1, (3, 0, 1, 2)),
    "fully_connected": (1, (0, 1)),
    "batch_matmul": (1, (-1, -2)),
    "transpose_conv": (1, (0, 3, 1, 2)),
}
# Least cosine between a channel's weights before and after a batch norm was folded into them.
PARALLEL = 0.999


def kind(model: Any, operator: Any) -> str:
    """Return an operator's kind in lower case, as ``conv_2d``."""
    return str(KINDS[model.operatorCodes[operator.opcodeIndex].builtinCode])


def align(
    model: Any, layers: Sequence[WeightedLayer], parameters: Mapping[str, Array]
) -> dict[int, WeightedLayer]:
    """Return the layer that each operator with weights computes, by the operator's number.

    Layers come in the program's order, and each fits one operator: the weights have the same shape
    and, channel by channel, the same direction. Folding a batch norm only scales a channel.

    Args:
        model: a file that is still in float32, as `export.tflite_pack.read` gives it.
        layers: the program's.
        parameters: the program's, by name.
    """
    left, found = list(layers), {}
    for number, weights in _weights(model):
        for layer in left:
            if _same(weights, parameters[layer.weight]):
                found[number] = layer
                left.remove(layer)
                break
    return found


def _weights(model: Any) -> Iterator[tuple[int, Array]]:
    graph = model.subgraphs[0]
    for number, operator in enumerate(graph.operators):
        place, axes = WEIGHTS.get(kind(model, operator), (None, ()))
        if place is None:
            continue
        tensor = graph.tensors[operator.inputs[place]]
        data = model.buffers[tensor.buffer].data
        if data is not None and tensor.type == schema.TensorType.FLOAT32:
            stored = np.asarray(data, np.uint8).view(np.float32).reshape(tensor.shape)
            yield number, stored.squeeze(_ones(stored, len(axes))).transpose(axes)


def _ones(stored: Array, rank: int) -> tuple[int, ...]:
    """Return the leading axes that a batched matrix product has beyond a matrix."""
    return tuple(range(stored.ndim - rank))


def _same(weights: Array, parameter: Array) -> bool:
    """Tell whether weights are a parameter's, whichever of its first two axes are the outputs."""
    turned = (parameter, np.swapaxes(parameter, 0, 1))
    return any(
        len(p) == len(weights) and p.size == weights.size and _parallel(weights, p) for p in turned
    )


def _parallel(weights: Array, parameter: Array) -> bool:
    a, b = (x.reshape(len(x), -1) for x in (weights, parameter))
    products, *squares = (
        np.einsum("ij,ij->i", x, y, dtype=np.float64) for x, y in ((a, b), (a, a), (b, b))
    )
    return bool((np.abs(products) >= PARALLEL * np.sqrt(squares[0] * squares[1])).all())


def rename(model: Any, found: Mapping[int, WeightedLayer]) -> dict[str, tuple[str, ...]]:
    """Name every tensor of the main graph; return each layer's output tensors, by its name.

    The interface keeps the signature's names. A layer's weights are called as its parameter, and
    its output as the layer; what else there is goes by its operator's kind and a number.
    """
    graph, names = model.subgraphs[0], _Names()
    for signature in model.signatureDefs:
        for port in (*signature.inputs, *signature.outputs):
            names.give(graph.tensors[port.tensorIndex], port.name.decode())
    made: dict[str, tuple[str, ...]] = {}
    for number, operator in enumerate(graph.operators):
        inputs, outputs = _tensors(graph, operator.inputs), _tensors(graph, operator.outputs)
        if layer := found.get(number):
            names.give(inputs[1], layer.weight)
            names.give_all(outputs, layer.name)
            names.give_all(inputs[2:], f"{layer.name}.bias")
            names.give_all(inputs[:1], f"{layer.name}.const")
            made[layer.name] = (*made.get(layer.name, ()), *(t.name.decode() for t in outputs))
        else:
            names.give_all(outputs, kind(model, operator))
            names.give_all(inputs, f"{kind(model, operator)}.const")
    return made


def outputs_between(model: Any, kept: Sequence[str]) -> list[str]:
    """Return the outputs of the operators that lie between those with the outputs `kept` only."""
    graph = model.subgraphs[0]
    steps = [
        Step(
            inputs=tuple(t.name.decode() for t in _tensors(graph, operator.inputs)),
            outputs=tuple(t.name.decode() for t in _tensors(graph, operator.outputs)),
            weighted=kind(model, operator) in WEIGHTS,
        )
        for operator in graph.operators
    ]
    numbers = {number for number, step in enumerate(steps) if {*step.outputs} & {*kept}}
    return [name for number in between(steps, numbers) for name in steps[number].outputs]


def name_interface(model: Any) -> None:
    """Give the inputs and outputs the signature's names again, which a quantizer has moved inside.

    Clients that know no signatures go by the tensors' names.
    """
    graph = model.subgraphs[0]
    for signature in model.signatureDefs:
        for port in (*signature.inputs, *signature.outputs):
            for tensor in graph.tensors:
                if tensor.name == port.name:
                    tensor.name += b"_quantized"
            graph.tensors[port.tensorIndex].name = port.name


def _tensors(graph: Any, indices: Sequence[int]) -> list[Any]:
    return [graph.tensors[index] for index in indices if index >= 0]


class _Names:
    """Gives each tensor one name, and each name to one tensor."""

    def __init__(self) -> None:
        self._named: set[int] = set()
        self._used: Counter[str] = Counter()

    def give(self, tensor: Any, name: str) -> None:
        if id(tensor) in self._named:
            return
        self._named.add(id(tensor))
        unique = name
        while self._used[unique]:
            unique = f"{name}_{self._used[name]}"
            self._used[name] += 1
        self._used[unique] += 1
        tensor.name = unique.encode()

    def give_all(self, tensors: Sequence[Any], name: str) -> None:
        for tensor in tensors:
            self.give(tensor, name)
