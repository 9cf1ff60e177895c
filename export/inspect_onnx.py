"""Reads the operators of an ONNX file."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, ValueInfoProto, helper

from export.inspection import Graph, Operator, tensor_bytes

Tensor = tuple[tuple[int, ...], int]


def read(path: Path) -> Graph:
    """Read a file; shapes are inferred.

    Raises:
        ValueError: it is not an ONNX file.
    """
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    except DecodeError as error:
        raise ValueError(str(error)) from None
    graph = model.graph
    if not graph.node:
        raise ValueError("it holds no operators")
    tensors = {v.name: _tensor(v) for v in (*graph.value_info, *graph.input, *graph.output)}
    constants = {t.name: tensor_bytes(t.dims, _item(t.data_type)) for t in graph.initializer}
    return Graph(
        operators=tuple(_operator(node, tensors) for node in graph.node),
        inputs=frozenset(v.name for v in graph.input) - constants.keys(),
        outputs=frozenset(v.name for v in graph.output),
        constants=constants,
    )


def _tensor(value: ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    return tuple(d.dim_value or 1 for d in kind.shape.dim), kind.elem_type


def _operator(node: onnx.NodeProto, tensors: dict[str, Tensor]) -> Operator:
    shape, kind = tensors.get(node.output[0], ((), TensorProto.UNDEFINED))
    return Operator(
        kind=node.op_type,
        inputs=tuple(name for name in node.input if name),
        outputs=tuple(node.output),
        output_shape=shape,
        dtype=TensorProto.DataType.Name(kind).lower().replace("float", "float32")
        if kind == TensorProto.FLOAT
        else TensorProto.DataType.Name(kind).lower(),
        output_bytes=tensor_bytes(shape, _item(kind)),
    )


def _item(kind: int) -> int:
    return int(helper.tensor_dtype_to_np_dtype(kind).itemsize) if kind else 0
