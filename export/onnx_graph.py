"""An exported ONNX graph in its plainest form, and the few questions that converters ask of it."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from export.layers import WeightedLayer

Array = npt.NDArray[Any]
WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# What an operator does when it is not told, by the ONNX specification.
DEFAULTS: dict[str, Any] = {
    "allowzero": 0,
    "alpha": 1.0,
    "auto_pad": b"NOTSET",
    "beta": 1.0,
    "ceil_mode": 0,
    "count_include_pad": 0,
    "group": 1,
    "keepdims": 1,
    "noop_with_empty_axes": 0,
    "storage_order": 0,
    "transA": 0,
    "transB": 0,
}
DEFAULTS_OF_GEMM_ONLY = {"alpha", "beta"}


def tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Bring an exporter's graph into its plainest form, in place, and return it.

    What only the exporter's author reads goes: stack traces and scopes (with the paths of the
    machine), attributes that say the default, shapes in between. A mean over the whole image
    becomes the pooling that it is. Nodes come after those whose outputs they read, as the
    specification wants and not every tool writes.
    """
    _strip(model)
    _sort(model.graph)
    _pool(model)
    for node in model.graph.node:
        _drop_defaults(node)
    _drop_unused(model.graph)
    model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    return model


def opset(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators that the file is written for."""
    return int(next(o.version for o in model.opset_import if not o.domain))


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return the initializers by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes as Python values."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def replace_constant(graph: onnx.GraphProto, name: str, values: Array, kind: int = 0) -> None:
    """Give the initializer `name` other values, as the ONNX type `kind` or that of the array."""
    stored = numpy_helper.from_array(values, name)
    if kind:
        stored = helper.make_tensor(name, kind, values.shape, values.ravel())
    old = next((t for t in graph.initializer if t.name == name), None)
    (old or graph.initializer.add()).CopyFrom(stored)


def weight_of(node: onnx.NodeProto, known: Container[str]) -> str | None:
    """Return the initializer that a convolution or matrix product multiplies by, if it has one."""
    if node.op_type not in WEIGHTED or node.input[1] not in known:
        return None
    return str(node.input[1])


def output_axis(node: onnx.NodeProto, known: Mapping[str, onnx.TensorProto]) -> int | None:
    """Return the axis of the output channels in a node's constant weight; None: it has none."""
    name = weight_of(node, known)
    if name is None or (node.op_type == "MatMul" and len(known[name].dims) != 2):
        return None
    if node.op_type in {"ConvTranspose", "MatMul"}:
        return 1
    return 0 if node.op_type == "Conv" or attributes(node).get("transB") else 1


def align(
    model: onnx.ModelProto, layers: Iterable[WeightedLayer]
) -> list[tuple[WeightedLayer, onnx.NodeProto]]:
    """Return the node of every layer: by the weight's name, else the next of the weight's shape.

    Raises:
        RuntimeError: a layer has no node of its own.
    """
    known = constants(model.graph)
    left = [n for n in model.graph.node if weight_of(n, known) is not None]
    layers = list(layers)
    named = {layer.weight for layer in layers}
    pairs = []
    for layer in layers:
        same = [n for n in left if n.input[1] == layer.weight] or [
            n
            for n in left
            if n.input[1] not in named
            and _sizes(known[n.input[1]].dims) == _sizes(layer.weight_shape)
        ]
        if not same:
            raise RuntimeError(f"the exporter left no operator for layer {layer.name}")
        left.remove(same[0])
        pairs.append((layer, same[0]))
    return pairs


def _sizes(shape: Iterable[int]) -> list[int]:
    return sorted(size for size in shape if size > 1)


def check_folded(model: onnx.ModelProto) -> None:
    """Raise RuntimeError where a batch-norm follows a convolution; after others it has to stay."""
    linear = {"Conv", "ConvTranspose", "Gemm"}
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and makers.get(node.input[0]) in linear:
            raise RuntimeError(f"the exporter left the batch-norm {node.name} that is not folded")


def _strip(model: onnx.ModelProto) -> None:
    graph = model.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer, model):
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.metadata_props[:]
    del graph.value_info[:]


def _sort(graph: onnx.GraphProto) -> None:
    made = {name for node in graph.node for name in node.output}
    ready: set[str] = set()
    waiting, ordered = list(graph.node), []
    while waiting:
        later = []
        for node in waiting:
            if all(name in ready or name not in made for name in node.input):
                ordered.append(node)
                ready.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise RuntimeError("the exporter wrote a graph with a loop")
        waiting = later
    del graph.node[:]
    graph.node.extend(ordered)


def _pool(model: onnx.ModelProto) -> None:
    """Write ReduceMean over height and width as GlobalAveragePool, which also runs in int8."""
    known = constants(model.graph)
    shapes = _ranks(model)
    for node in model.graph.node:
        if node.op_type != "ReduceMean" or len(node.input) < 2 or node.input[1] not in known:
            continue
        rank = shapes.get(node.input[0], 0)
        axes = {int(a) % rank for a in numpy_helper.to_array(known[node.input[1]])} if rank else {}
        if axes == set(range(2, rank)) and attributes(node).get("keepdims", 1):
            node.op_type = "GlobalAveragePool"
            del node.input[1:]
            del node.attribute[:]


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    """Return the number type of every tensor, as ONNX counts them."""
    known = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return known | {v.name: v.type.tensor_type.elem_type for v in _values(model)}


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    return {v.name: len(v.type.tensor_type.shape.dim) for v in _values(model)}


def _values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    graph = onnx.shape_inference.infer_shapes(without_weights(model)).graph
    return [*graph.input, *graph.value_info, *graph.output]


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which large initializers are inputs: for questions of shape."""
    graph = model.graph
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.functions.extend(model.functions)
    light.graph.node.extend(graph.node)
    light.graph.output.extend(graph.output)
    light.graph.input.extend(graph.input)
    declared = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if np.prod(tensor.dims) <= 64:
            light.graph.initializer.append(tensor)
        elif tensor.name not in declared:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            light.graph.input.append(value)
    return light


def _drop_defaults(node: onnx.NodeProto) -> None:
    kept = [a for a in node.attribute if not _is_default(node, a)]
    del node.attribute[:]
    node.attribute.extend(kept)


def _is_default(node: onnx.NodeProto, attribute: onnx.AttributeProto) -> bool:
    value = helper.get_attribute_value(attribute)
    if attribute.name in {"dilations", "strides"}:
        return all(size == 1 for size in value)
    if attribute.name == "pads":
        return not any(value)
    if attribute.name in DEFAULTS_OF_GEMM_ONLY and node.op_type != "Gemm":
        return False
    return attribute.name in DEFAULTS and bool(DEFAULTS[attribute.name] == value)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    if len(kept) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(kept)
