"""Weight-only integers for ONNX: stored in 8 or 4 bits, restored on loading, run in float.

Weights are restored by Cast and Mul, which a runtime computes once, as it does with all that is
constant. DequantizeLinear would say the same, but ONNX Runtime leaves that to its integer kernels
and otherwise restores the weights in every run: 2.6 times the latency of MobileNet v2 in float32.

Integers of 8 bits have a scale for each output channel. Those of 4 bits, a type from opset
21 on, have one for every 32 inputs; where there are few (a first or a depthwise convolution)
weights are few too, and stay at 8.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from export import integers
from export.onnx_graph import constants, output_axis

Array = npt.NDArray[Any]
INT4_OPSET = 21
LEAST_BLOCK = 8


def store_weights(model: onnx.ModelProto, bits: int, floats: Collection[str]) -> None:
    """Store the weights of convolutions and matrix products as integers, in place.

    Args:
        model: the float graph; of opset 21 for 4 bits.
        bits: 8 or 4.
        floats: first outputs of the nodes that stay as they are.
    """
    known = constants(model.graph)
    kept = {name for n in model.graph.node if n.output[0] in floats for name in n.input}
    nodes: list[onnx.NodeProto] = []
    restored: set[str] = set()
    for node in model.graph.node:
        axis = output_axis(node, known)
        if axis is not None and node.input[1] not in kept:
            name = node.input[1]
            if name not in restored:
                nodes += _restore(model.graph, known[name], axis, bits)
                restored.add(name)
            node.input[1] = f"{name}_d"
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _restore(
    graph: onnx.GraphProto, tensor: onnx.TensorProto, axis: int, bits: int
) -> list[onnx.NodeProto]:
    """Store a tensor as integers and return the nodes that restore it as ``NAME_d``."""
    name, weights = tensor.name, numpy_helper.to_array(tensor)
    size = integers.block_size(weights.shape[1 - axis])
    if bits == 4 and size >= LEAST_BLOCK:
        values, scale = integers.blocks(weights, 1 - axis, size)
        tensor.CopyFrom(_int4(name, values))
        end, shape = f"{name}_b", [np.array(weights.shape)]
    else:
        values, spread = integers.channels(weights, axis)
        scale = spread.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
        tensor.CopyFrom(numpy_helper.from_array(values, name))
        end, shape = f"{name}_d", []
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}_s"))
    graph.initializer.extend(numpy_helper.from_array(s, f"{name}_r") for s in shape)
    return [
        helper.make_node("Cast", [name], [f"{name}_f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_f", f"{name}_s"], [end]),
        *(helper.make_node("Reshape", [end, f"{name}_r"], [f"{name}_d"]) for _ in shape),
    ]


def _int4(name: str, values: npt.NDArray[np.int8]) -> onnx.TensorProto:
    """Return an INT4 tensor: two values in a byte, the first in the lower half."""
    flat = np.append(values.ravel(), np.zeros(values.size % 2, np.int8)).view(np.uint8) & 0xF
    packed = (flat[::2] | flat[1::2] << 4).astype(np.uint8)
    return TensorProto(
        name=name, data_type=TensorProto.INT4, dims=values.shape, raw_data=packed.tobytes()
    )
