"""Reads the operators of a TFLite file by the schema that comes with LiteRT."""

import struct
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from export.inspection import Graph, Operator, tensor_bytes

IDENTIFIER = b"TFL3"
ITEM_BYTES = {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float16": 2, "int64": 8, "float64": 8}


def read(path: Path) -> Graph:
    """Read a file's first subgraph.

    Raises:
        ValueError: it is not a TFLite file.
    """
    data = path.read_bytes()
    if data[4:8] != IDENTIFIER:
        raise ValueError("it is not a TFLite file")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    except (struct.error, IndexError) as error:
        raise ValueError(f"it is damaged ({error})") from None
    graph = model.subgraphs[0]
    stored = [_is_stored(model, tensor) for tensor in graph.tensors]
    return Graph(
        operators=tuple(_operator(model, graph, operator) for operator in graph.operators),
        inputs=frozenset(map(str, graph.inputs)),
        outputs=frozenset(map(str, graph.outputs)),
        constants={str(i): _bytes(t) for i, t in enumerate(graph.tensors) if stored[i]},
    )


def _is_stored(model: Any, tensor: Any) -> bool:
    """Large files keep their data behind the flatbuffer, by offset and size."""
    buffer = model.buffers[tensor.buffer]
    return tensor.buffer != 0 and (buffer.data is not None or buffer.size > 0)


def _operator(model: Any, graph: Any, operator: Any) -> Operator:
    output = graph.tensors[operator.outputs[0]]
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    custom = code.customCode.decode() if code.customCode else ""
    return Operator(
        kind=custom or _name(schema.BuiltinOperator, number),
        inputs=tuple(str(i) for i in operator.inputs if i >= 0),
        outputs=tuple(map(str, operator.outputs)),
        output_shape=_shape(output),
        dtype=_name(schema.TensorType, output.type).lower(),
        output_bytes=_bytes(output),
        fused=_fused(operator.builtinOptions),
    )


def _fused(options: Any) -> str:
    activation = getattr(options, "fusedActivationFunction", 0)
    return _name(schema.ActivationFunctionType, activation).lower() if activation else ""


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _bytes(tensor: Any) -> int:
    return tensor_bytes(
        _shape(tensor), ITEM_BYTES.get(_name(schema.TensorType, tensor.type).lower(), 4)
    )


def _name(enumeration: Any, number: int) -> str:
    names = {value: name for name, value in vars(enumeration).items() if not name.startswith("_")}
    return str(names.get(number, number))
