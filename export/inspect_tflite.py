"""Reads the operators of a TFLite file by the schema that comes with LiteRT."""

import struct
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from export.artifact import Contract, Tensor
from export.embed import KEY
from export.inspection import Graph, Operator, Value, tensor_bytes
from export.interface import bare, layout

IDENTIFIER = b"TFL3"
ITEM_BYTES = {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float16": 2, "int64": 8, "float64": 8}
HALF_BYTES = {"int4", "uint4"}


def read(path: Path) -> Graph:
    """Read a file's first subgraph.

    Raises:
        ValueError: it is not a TFLite file.
    """
    model = load(path)
    graph = model.subgraphs[0]
    tensors = enumerate(graph.tensors)
    values = {str(i): Value(_shape(t), _dtype(t), _text(t.name)) for i, t in tensors}
    stored = [i for i, tensor in enumerate(graph.tensors) if _is_stored(model, tensor)]
    return Graph(
        operators=tuple(_operator(model, graph, operator) for operator in graph.operators),
        inputs=frozenset(map(str, graph.inputs)),
        outputs=frozenset(map(str, graph.outputs)),
        constants={str(i): {values[str(i)].dtype: _bytes(graph.tensors[i])} for i in stored},
        values=values,
    )


def load(path: Path) -> Any:
    """Read a file into the schema's own objects.

    Raises:
        ValueError: it is not a TFLite file.
    """
    data = path.read_bytes()
    if data[4:8] != IDENTIFIER:
        raise ValueError("it is not a TFLite file")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"it is damaged ({error})") from None
    if any(buffer.offset + buffer.size > len(data) for buffer in model.buffers):
        raise ValueError("it is cut short")
    return model


def embedded(path: Path) -> str | None:
    """Return the text that `export.embed` put into a file; None if there is none."""
    model = load(path)
    found = [m.buffer for m in model.metadata or () if m.name == KEY.encode()]
    return bytes(model.buffers[found[-1]].data).decode() if found else None


def interface(path: Path) -> Contract:
    """Read what an application sees of a file: the names are those of its only signature, if any.

    Raises:
        ValueError: it is not a TFLite file.
    """
    model = load(path)
    graph = model.subgraphs[0]
    names = {index: _text(graph.tensors[index].name) for index in (*graph.inputs, *graph.outputs)}
    if len(model.signatureDefs or ()) == 1:
        signature = model.signatureDefs[0]
        maps = (*signature.inputs, *signature.outputs)
        names |= {tensor.tensorIndex: _text(tensor.name) for tensor in maps}
    return bare(
        inputs=[_port(names[i], graph.tensors[i]) for i in graph.inputs],
        outputs=[_port(names[i], graph.tensors[i]) for i in graph.outputs],
        dynamic_batch=False,
    )


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")


def _port(name: str, tensor: Any) -> Tensor:
    shape, dtype, table = _shape(tensor), _dtype(tensor), tensor.quantization
    stored = dtype.startswith(("int", "uint")) and table is not None and table.scale is not None
    return Tensor(
        name=name,
        shape=shape,
        dtype=dtype,
        layout=layout(len(shape), True),
        scale=float(table.scale[0]) if stored else None,
        zero_point=int(table.zeroPoint[0]) if stored else None,
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
        dtype=_dtype(output),
        output_bytes=_bytes(output),
        fused=_fused(operator.builtinOptions),
        name=_text(output.name),
    )


def _fused(options: Any) -> str:
    activation = getattr(options, "fusedActivationFunction", 0)
    return _name(schema.ActivationFunctionType, activation).lower() if activation else ""


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _dtype(tensor: Any) -> str:
    return _name(schema.TensorType, tensor.type).lower()


def _bytes(tensor: Any) -> int:
    dtype = _dtype(tensor)
    if dtype in HALF_BYTES:
        return -(-tensor_bytes(_shape(tensor), 1) // 2)
    return tensor_bytes(_shape(tensor), ITEM_BYTES.get(dtype, 4))


def _name(enumeration: Any, number: int) -> str:
    names = {value: name for name, value in vars(enumeration).items() if not name.startswith("_")}
    return str(names.get(number, number))
