"""Reads the operators of an ONNX file."""

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, ValueInfoProto

from export.artifact import Contract, Tensor
from export.embed import KEY
from export.inspection import Graph, Operator, Value, tensor_bytes
from export.interface import bare, layout
from export.onnx_graph import without_weights

# Types that numpy does not know, or that are packed: bits of a value.
BITS = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "float4e2m1": 4, "bfloat16": 16}
BITS |= dict.fromkeys(("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"), 8)


def read(path: Path) -> Graph:
    """Read a file; shapes are inferred.

    Raises:
        ValueError: it is not an ONNX file.
    """
    model = load(path)
    if not model.graph.node:
        raise ValueError("it holds no operators")
    _sort(model.graph)
    graph = model.graph
    inferred = onnx.shape_inference.infer_shapes(without_weights(model)).graph
    known = (*inferred.value_info, *inferred.input, *inferred.output)
    values = {v.name: _value(v) for v in known}
    values |= {t.name: Value(tuple(t.dims), _dtype(t.data_type)) for t in graph.initializer}
    constants = {t.name: {_dtype(t.data_type): _bytes(values[t.name])} for t in graph.initializer}
    return Graph(
        operators=tuple(_operator(node, values) for node in graph.node),
        inputs=frozenset(v.name for v in graph.input) - constants.keys(),
        outputs=frozenset(v.name for v in graph.output),
        constants=constants,
        values=values,
    )


def _sort(graph: onnx.GraphProto) -> None:
    """Bring the operators into the order of their data: tools write others, runtimes take them."""
    if _is_sorted(graph):
        return
    made = {name for node in graph.node for name in node.output}
    waiting, ordered = list(graph.node), []
    while waiting:
        ready = [node for node in waiting if made.isdisjoint(node.input)] or waiting
        made -= {name for node in ready for name in node.output}
        waiting = [node for node in waiting if not made.isdisjoint(node.output)]
        ordered += ready
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def _is_sorted(graph: onnx.GraphProto) -> bool:
    later = {name for node in graph.node for name in node.output}
    for node in graph.node:
        if not later.isdisjoint(node.input):
            return False
        later.difference_update(node.output)
    return True


def load(path: Path) -> onnx.ModelProto:
    """Read a file's message; weights that lie in files of their own stay there.

    Raises:
        ValueError: it is not an ONNX file.
    """
    try:
        return onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ValueError(str(error)) from None


def embedded(path: Path) -> str | None:
    """Return the text that `export.embed` put into a file; None if there is none."""
    found = [entry.value for entry in load(path).metadata_props if entry.key == KEY]
    return found[-1] if found else None


def apart(path: Path) -> list[str]:
    """Return the names of the files beside this one that hold weights of it.

    Raises:
        ValueError: it is not an ONNX file, or names a file that does not lie beside it.
    """
    entries = [e for t in load(path).graph.initializer for e in t.external_data]
    names = sorted({entry.value for entry in entries if entry.key == "location"})
    for name in names:
        if Path(name).name != name or not (path.parent / name).is_file():
            raise ValueError(f"it keeps weights in '{name}', which is no file beside it")
    return names


def interface(path: Path) -> Contract:
    """Read what an application sees of a file; a dimension that is open, but the batch, is 0.

    Raises:
        ValueError: it is not an ONNX file, or takes something else than tensors.
    """
    graph = load(path).graph
    stored = {t.name for t in graph.initializer}
    inputs = [v for v in graph.input if v.name not in stored]
    return bare(
        inputs=[_port(v) for v in inputs],
        outputs=[_port(v) for v in graph.output],
        dynamic_batch=all(_is_open_first(v) for v in inputs),
    )


def _port(value: ValueInfoProto) -> Tensor:
    if not value.type.HasField("tensor_type"):
        raise ValueError(f"'{value.name}' is not a tensor")
    sizes = [int(d.dim_value) for d in value.type.tensor_type.shape.dim]
    shape = (sizes[0] or 1, *sizes[1:]) if sizes else ()
    dtype = _dtype(value.type.tensor_type.elem_type)
    return Tensor(name=value.name, shape=shape, dtype=dtype, layout=layout(len(shape), False))


def _is_open_first(value: ValueInfoProto) -> bool:
    dimensions = value.type.tensor_type.shape.dim
    return bool(dimensions) and not dimensions[0].dim_value


def _value(value: ValueInfoProto) -> Value:
    kind = value.type.tensor_type
    return Value(tuple(d.dim_value or 1 for d in kind.shape.dim), _dtype(kind.elem_type))


def _operator(node: onnx.NodeProto, values: dict[str, Value]) -> Operator:
    output = values.get(node.output[0], Value((), "undefined"))
    return Operator(
        kind=node.op_type,
        inputs=tuple(name for name in node.input if name),
        outputs=tuple(node.output),
        output_shape=output.shape,
        dtype=output.dtype,
        output_bytes=_bytes(output),
        name=node.name,
    )


def _dtype(kind: int) -> str:
    if kind == TensorProto.FLOAT:
        return "float32"
    return "float64" if kind == TensorProto.DOUBLE else TensorProto.DataType.Name(kind).lower()


def _bytes(value: Value) -> int:
    if value.dtype in {"undefined", "string"}:
        return 0
    bits = BITS.get(value.dtype) or 8 * np.dtype(value.dtype).itemsize
    return -(-tensor_bytes(value.shape, bits) // 8)
