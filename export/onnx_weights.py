"""Weight-only integers for ONNX: stored in 8 or 4 bits, restored by DequantizeLinear, run in float.

Integers of 8 bits have a scale for each output channel. Those of 4 bits have one for every 32
inputs, which operators of opset 21 can say; weights with fewer inputs (a first or a depthwise
convolution) are few, and stay at 8.
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
                nodes.append(_restore(model.graph, known[name], axis, bits))
                restored.add(name)
            node.input[1] = f"{name}_d"
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _restore(
    graph: onnx.GraphProto, tensor: onnx.TensorProto, axis: int, bits: int
) -> onnx.NodeProto:
    """Store a tensor as integers and return the node that restores it as ``NAME_d``."""
    name, weights = tensor.name, numpy_helper.to_array(tensor)
    inputs = 1 - axis
    options = {"axis": axis}
    if bits == 4 and weights.shape[inputs] >= integers.INT4_BLOCK:
        values, scale = integers.blocks(weights, inputs)
        options = {"axis": inputs, "block_size": integers.INT4_BLOCK}
        tensor.CopyFrom(_int4(name, values))
    else:
        values, scale = integers.channels(weights, axis)
        tensor.CopyFrom(numpy_helper.from_array(values, name))
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}_s"))
    return helper.make_node("DequantizeLinear", [name, f"{name}_s"], [f"{name}_d"], **options)


def _int4(name: str, values: npt.NDArray[np.int8]) -> onnx.TensorProto:
    """Return an INT4 tensor: two values in a byte, the first in the lower half."""
    flat = np.append(values.ravel(), np.zeros(values.size % 2, np.int8)).view(np.uint8) & 0xF
    packed = (flat[::2] | flat[1::2] << 4).astype(np.uint8)
    return TensorProto(
        name=name, data_type=TensorProto.INT4, dims=values.shape, raw_data=packed.tobytes()
    )
