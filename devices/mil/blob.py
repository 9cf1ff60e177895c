"""A weight file (``weight.bin``): entries of 64 bytes that describe the data elsewhere in it.

Storage version 2, all little-endian. An entry: sentinel, data type, bytes of data, their offset in
the file, and the bits at their end that fill up the last byte. See MILBlob's ``StorageFormat.hpp``
in coremltools' sources.
"""

import mmap
import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.mil.errors import MilError
from devices.mil.tensors import element

Array = npt.NDArray[Any]
HEADER = struct.Struct("<II")
ENTRY = struct.Struct("<IIQQQ")
SENTINEL = 0xDEADBEEF
VERSION = 2
TYPES = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}


class WeightFile:
    """A weight file, mapped into memory."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            MilError: it is missing, or not of this storage version.
        """
        self._name = path.name
        try:
            with path.open("rb") as stream:
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise MilError(f"cannot read {path}: {error}") from None
        self._bytes = memoryview(mapped)
        whole = len(self._bytes) >= HEADER.size
        version = HEADER.unpack_from(self._bytes, 0)[1] if whole else None
        if version != VERSION:
            raise MilError(f"{self._name} is not a weight file of storage version {VERSION}")

    def read(self, offset: int, shape: tuple[int, ...], dtype: str) -> Array:
        """Return the data whose entry lies at `offset`, checked against what the program declares.

        Raises:
            MilError: the entry or its data lie outside the file, or are not what is declared.
        """
        if offset + ENTRY.size > len(self._bytes):
            raise MilError(f"offset {offset} lies outside {self._name}")
        sentinel, code, size, start, _ = ENTRY.unpack_from(self._bytes, offset)
        if sentinel != SENTINEL:
            raise MilError(f"{self._name} has no entry at offset {offset}")
        if TYPES.get(code) != dtype:
            found = TYPES.get(code, f"unknown type {code}")
            raise MilError(f"{self._name} holds {found} at offset {offset}, declared is {dtype}")
        if start + size > len(self._bytes):
            raise MilError(f"the data of offset {offset} reach beyond the end of {self._name}")
        return unpack(bytes(self._bytes[start : start + size]), shape, dtype)


def unpack(raw: bytes, shape: tuple[int, ...], dtype: str) -> Array:
    """Return stored bytes as an array; elements smaller than a byte fill it from its lowest bit.

    Raises:
        MilError: the type is not known here, or the bytes are not those of this shape.
    """
    bits, kind = element(dtype)
    count = prod(shape)
    if len(raw) != -(-count * bits // 8):
        raise MilError(f"{len(raw)} bytes are stored for {dtype} of shape {list(shape)}")
    if bits >= 8:
        return np.frombuffer(raw, kind).reshape(shape)
    spread = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[: count * bits]
    values: Array = np.zeros(count, np.uint8)
    for place, column in enumerate(spread.reshape(count, bits).T):
        values |= column << place
    if dtype.startswith("int"):
        sign = 1 << (bits - 1)
        values = (values ^ sign) - sign
    return values.astype(kind).reshape(shape)
