"""The types of MIL's tensors, and how torch holds each of them here."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from devices.mil.errors import UnknownError

# Bits of a stored element, and the numpy type that its bytes, or its unpacked values, are read as.
STORED: dict[str, tuple[int, type[np.generic]]] = {
    "bool": (8, np.bool_),
    "float16": (16, np.float16),
    "float32": (32, np.float32),
    "float64": (64, np.float64),
    "int8": (8, np.int8),
    "int16": (16, np.int16),
    "int32": (32, np.int32),
    "int64": (64, np.int64),
    "uint8": (8, np.uint8),
    "uint16": (16, np.uint16),
    "uint32": (32, np.uint32),
    "int4": (4, np.int8),
    "uint1": (1, np.uint8),
    "uint2": (2, np.uint8),
    "uint3": (3, np.uint8),
    "uint4": (4, np.uint8),
    "uint6": (6, np.uint8),
}
# Half precision is held in float32, rounded after each operator. torch computes little with
# unsigned types, so the next wider signed one holds them.
HELD: dict[str, str] = {
    "bool": "bool",
    "float16": "float32",
    "float32": "float32",
    "float64": "float64",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "int32",
    "uint32": "int64",
    "int4": "int8",
    **{f"uint{bits}": "uint8" for bits in (1, 2, 3, 4, 6)},
}
# What the operators `cast`, `quantize` and others call the types.
SHORT = {"fp16": "float16", "fp32": "float32", "fp64": "float64"}


def element(dtype: str) -> tuple[int, type[np.generic]]:
    """Return the bits of a stored element, and the numpy type that it is read as.

    Raises:
        UnknownError: a type that cannot be read.
    """
    if dtype not in STORED:
        raise UnknownError(f"data type {dtype} cannot be read")
    return STORED[dtype]


@dataclass(frozen=True)
class Port:
    """A tensor of the program by name. `shape` None: a dictionary or list, whose size is open."""

    name: str
    shape: tuple[int, ...] | None
    dtype: str


def port(name: str, kind: Any) -> Port:
    """Return a tensor as a MIL value type declares it; an open dimension is -1."""
    if kind.WhichOneof("type") != "tensorType":
        return Port(name, None, str(kind.WhichOneof("type")).removesuffix("Type"))
    return Port(name, *tensor_type(kind))


def tensor_type(kind: Any) -> tuple[tuple[int, ...], str]:
    """Return the shape and dtype of a MIL tensor type.

    Raises:
        UnknownError: an unknown dtype.
    """
    tensor = kind.tensorType
    names = tensor.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number
    if tensor.dataType not in names:
        raise UnknownError(f"unknown data type {tensor.dataType}")
    shape = tuple(
        int(d.constant.size) if d.WhichOneof("dimension") == "constant" else -1
        for d in tensor.dimensions
    )
    return shape, names[tensor.dataType].name.lower()
