"""A TFLite file's root table replaced by one that holds more metadata, the rest left as it is.

References in a flatbuffer point forwards, so the new root and its metadata go in front of the old
file, of which only the root table and its lists of buffers and metadata fall out of use. Weights,
shared vectors and alignment stay; a rewrite by the schema's objects would lose the sharing.
"""

import struct
from collections.abc import Mapping

import flatbuffers
from flatbuffers.table import Table

from export import flat

IDENTIFIER = b"TFL3"
# Model's fields by the schema's numbers: `version` is a number, the others are references.
VERSION, BUFFERS, METADATA, FIELDS = 0, 4, 6, 10
# Buffer's field that counts from the start of the file: where large contents lie behind the graph.
BUFFER_OFFSET = 1
# Larger than any alignment that a runtime asks of weights.
ALIGNMENT = 64


def with_metadata(data: bytes, entries: Mapping[str, bytes]) -> bytes:
    """Return a TFLite file with metadata entries added, each in a buffer of its own.

    Args:
        data: the file.
        entries: contents by name; none of the names may be there already.
    """
    old = bytearray(data)
    root = Table(old, struct.unpack_from("<I", old)[0])
    buffers, metadata = flat.elements(root, BUFFERS), flat.elements(root, METADATA)
    front = _front(root, buffers, metadata, entries)
    for position in buffers:
        _move_contents(Table(old, position), len(front))
    return front + bytes(old)


def _front(
    root: Table, buffers: list[int], metadata: list[int], entries: Mapping[str, bytes]
) -> bytes:
    """Return the new root; a negative offset is a place in the old file, which follows at once."""
    b = flatbuffers.Builder(1024)
    b.Prep(ALIGNMENT, 0)
    added = [flat.table(b, {0: flat.contents(b, value)}) for value in entries.values()]
    named = [_entry(b, name, len(buffers) + i) for i, name in enumerate(entries)]
    kept = {
        number: -flat.target(root, number)
        for number in range(FIELDS)
        if number not in {VERSION, BUFFERS, METADATA} and flat.place(root, number)
    }
    lists = {
        BUFFERS: flat.vector(b, [*(-place for place in buffers), *added]),
        METADATA: flat.vector(b, [*(-place for place in metadata), *named]),
    }
    version = struct.unpack_from("<I", root.Bytes, flat.place(root, VERSION))[0]
    b.Finish(flat.table(b, kept | lists, number=(VERSION, version)), IDENTIFIER)
    return bytes(b.Output())


def _entry(b: flatbuffers.Builder, name: str, buffer: int) -> int:
    return flat.table(b, {0: b.CreateString(name)}, number=(1, buffer))


def _move_contents(buffer: Table, distance: int) -> None:
    place = flat.place(buffer, BUFFER_OFFSET)
    old = struct.unpack_from("<Q", buffer.Bytes, place)[0] if place else 0
    if old > 1:  # 1 is what a writer leaves before it knows the place
        struct.pack_into("<Q", buffer.Bytes, place, old + distance)
