"""Reads the operators of a Core ML program, by coremltools' protobuf schema alone."""

from pathlib import Path
from typing import Any

from devices.mil import schema
from devices.mil.tensors import tensor_type
from export.inspection import Graph, Operator, tensor_bytes

ITEM_BYTES = {"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "float64": 8}


def read(path: Path) -> Graph:
    """Read a package's main function.

    Raises:
        ImportError: coremltools is not installed.
        ValueError: it is not an ML program.
    """
    spec, _ = schema.read(path)
    main, block = schema.main_function(spec)
    stored = [o for o in block.operations if _is_stored(o)]
    return Graph(
        operators=tuple(_operator(o) for o in block.operations if not _is_stored(o)),
        inputs=frozenset(i.name for i in main.inputs),
        outputs=frozenset(block.outputs),
        constants={o.outputs[0].name: _stored_bytes(o) for o in stored},
    )


def _is_stored(operation: Any) -> bool:
    """Constants, and what unpacks compressed ones when the file is loaded."""
    return str(operation.type) == "const" or str(operation.type).startswith("constexpr_")


def _stored_bytes(operation: Any) -> int:
    """Return the bytes of a constant as the file holds it."""
    values = list(operation.attributes.items())
    return sum(_type_bytes(v.type) for name, v in values if name != "name")


def _operator(operation: Any) -> Operator:
    kind = operation.outputs[0].type
    shape, dtype = _tensor(kind)
    named = [b.name for argument in operation.inputs.values() for b in argument.arguments]
    return Operator(
        kind=operation.type,
        inputs=tuple(filter(None, named)),
        outputs=tuple(o.name for o in operation.outputs),
        output_shape=shape,
        dtype=dtype,
        output_bytes=_type_bytes(kind),
    )


def _tensor(kind: Any) -> tuple[tuple[int, ...], str]:
    shape, dtype = tensor_type(kind)
    return tuple(max(size, 1) for size in shape), dtype


def _type_bytes(kind: Any) -> int:
    shape, dtype = _tensor(kind)
    return tensor_bytes(shape, 0 if dtype == "string" else ITEM_BYTES.get(dtype, 4))
