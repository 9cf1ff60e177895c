"""Flatbuffers by the schema's field numbers, written and read: tables, vectors, contents."""

import struct
from collections.abc import Mapping, Sequence

from flatbuffers import Builder
from flatbuffers.table import Table

# What TFLite's schema asks of a buffer's contents.
CONTENTS_ALIGNMENT = 16


def table(b: Builder, references: Mapping[int, int], number: tuple[int, int] | None = None) -> int:
    """Write a table of references, and at most one unsigned number of 32 bits, by field number."""
    b.StartObject(_slots(references, number))
    for field, offset in references.items():
        b.PrependUOffsetTRelativeSlot(field, offset, 0)
    if number:
        b.PrependUint32Slot(*number, 0)
    return int(b.EndObject())


def tagged(b: Builder, references: Mapping[int, int], tag: tuple[int, int]) -> int:
    """Write a table of references and one byte: an enumeration, or which type a union holds."""
    b.StartObject(_slots(references, tag))
    for field, offset in references.items():
        b.PrependUOffsetTRelativeSlot(field, offset, 0)
    b.PrependInt8Slot(*tag, 0)
    return int(b.EndObject())


def _slots(references: Mapping[int, int], other: tuple[int, int] | None) -> int:
    return max([*references, other[0] if other else -1], default=-1) + 1


def vector(b: Builder, offsets: Sequence[int]) -> int:
    """Write a vector of references."""
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def floats(b: Builder, values: Sequence[float]) -> int:
    """Write a vector of float32."""
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependFloat32(value)
    return int(b.EndVector())


def contents(b: Builder, data: bytes) -> int:
    """Write the bytes of a buffer."""
    b.StartVector(1, len(data), CONTENTS_ALIGNMENT)
    b.head = int(b.head) - len(data)
    b.Bytes[b.head : b.head + len(data)] = data
    return int(b.EndVector())


def place(table: Table, field: int) -> int:
    """Return where a table holds a field, 0 if it has none."""
    found = int(table.Offset(4 + 2 * field))
    return int(table.Pos) + found if found else 0


def target(table: Table, field: int) -> int:
    """Return what a field refers to, 0 if the table has none."""
    at = place(table, field)
    return int(at + struct.unpack_from("<I", table.Bytes, at)[0]) if at else 0


def elements(table: Table, field: int) -> list[int]:
    """Return the places of the tables that a field's vector refers to."""
    start = target(table, field)
    if not start:
        return []
    count = struct.unpack_from("<I", table.Bytes, start)[0]
    offsets = struct.unpack_from(f"<{count}I", table.Bytes, start + 4)
    return [start + 4 + 4 * i + offset for i, offset in enumerate(offsets)]
