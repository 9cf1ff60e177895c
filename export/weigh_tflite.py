"""Accounts for the bytes of a TFLite file by walking its flatbuffer, each table and vector once."""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flatbuffers.table import Table

from export import flat
from export.inspect_tflite import load, read
from export.weighing import ACTIVATIONS, Kind, Part, Role, roles

Shape = Literal["table", "tables", "string", "vector"]
# The schema's fields that refer to something, by number: a table or tables of a name, a string, or
# a vector with the bytes of an item. Numbers that lie in a table itself need no rule.
FIELDS: dict[str, dict[int, tuple[Shape, str | int]]] = {
    "Model": {
        1: ("tables", "OperatorCode"),
        2: ("tables", "SubGraph"),
        3: ("string", ""),
        4: ("tables", "Buffer"),
        5: ("vector", 4),
        6: ("tables", "Metadata"),
        7: ("tables", "SignatureDef"),
    },
    "OperatorCode": {1: ("string", "")},
    "SubGraph": {
        0: ("tables", "Tensor"),
        1: ("vector", 4),
        2: ("vector", 4),
        3: ("tables", "Operator"),
        4: ("string", ""),
    },
    "Tensor": {
        0: ("vector", 4),
        3: ("string", ""),
        4: ("table", "QuantizationParameters"),
        7: ("vector", 4),
    },
    "QuantizationParameters": {
        **dict.fromkeys((0, 1, 2), ("vector", 4)),
        3: ("vector", 8),
        5: ("table", "QuantizationDetails"),
    },
    "QuantizationDetails": {},
    "Operator": {
        1: ("vector", 4),
        2: ("vector", 4),
        4: ("table", "Options"),
        5: ("vector", 1),
        7: ("vector", 1),
        8: ("vector", 4),
        12: ("table", "Options"),
    },
    "Options": {},
    "ReshapeOptions": {0: ("vector", 4)},
    "Buffer": {0: ("vector", 1)},
    "Metadata": {0: ("string", "")},
    "SignatureDef": {0: ("tables", "TensorMap"), 1: ("tables", "TensorMap"), 2: ("string", "")},
    "TensorMap": {0: ("string", "")},
}
# Operator's field that tells which options follow, and those that hold a vector: reshape, squeeze.
OPTIONS_TYPE, WITH_VECTOR = 3, {17, 30}
# Fields of Buffer for contents behind the flatbuffer.
OFFSET, SIZE = 1, 2
HEADER = 8
ARCHIVE = b"PK\x03\x04"
# More than any writer leaves for alignment.
MOST_PADDING = 64


def weigh(path: Path) -> list[Part]:
    """Account for every byte of the file.

    Raises:
        ValueError: it is not a TFLite file, or is damaged.
    """
    data = path.read_bytes()
    walk = _Walk(bytearray(data), *_roles(path))
    try:
        walk.claim(0, HEADER, ("structure", ""))
        walk.table("Model", struct.unpack_from("<I", data)[0], ("structure", ""))
    except struct.error as error:
        raise ValueError(f"it is damaged ({error})") from None
    return walk.parts()


def _roles(path: Path) -> tuple[dict[int, Role], dict[int, str]]:
    """Return what each buffer is for, and the layer of each tensor of the first subgraph."""
    model, known = load(path), roles(read(path))
    tensors = model.subgraphs[0].tensors
    layers = {i: known.get(str(i), ("", ACTIVATIONS))[1] for i in range(len(tensors))}
    buffers: dict[int, Role] = {}
    for number, tensor in enumerate(tensors):
        if role := known.get(str(number)):
            buffers.setdefault(tensor.buffer, role)
    return buffers | {m.buffer: ("metadata", "") for m in model.metadata or ()}, layers


@dataclass
class _Walk:
    """What was claimed so far: by its first byte, its end and its role."""

    data: bytearray
    buffers: dict[int, Role]
    layers: dict[int, str]
    claimed: dict[int, tuple[int, Role]] = field(default_factory=dict)

    def claim(self, start: int, size: int, role: Role) -> None:
        """Note what bytes are for; what is shared counts for the first that refers to it."""
        self.claimed.setdefault(start, (start + size, role))

    def table(self, name: str, position: int, role: Role) -> None:
        """Claim a table, the layout that it may share, and all that it refers to."""
        table = Table(self.data, position)
        layout = position - struct.unpack_from("<i", self.data, position)[0]
        layout_size, size = struct.unpack_from("<HH", self.data, layout)
        self.claim(layout, layout_size, ("structure", ""))
        self.claim(position, size, role if name not in {"Buffer", "Tensor"} else ("structure", ""))
        for number in FIELDS[name]:
            if flat.place(table, number):
                self._reference(name, table, number, role)
        if name == "Buffer":
            self._behind(table, role)

    def _reference(self, name: str, table: Table, number: int, role: Role) -> None:
        (shape, of), target = FIELDS[name][number], flat.target(table, number)
        if shape == "vector":
            own = name in {"Buffer", "QuantizationParameters"}
            self._vector(target, int(of), role if own else ("structure", ""))
        elif shape == "string":
            self._vector(target, 1, role if role[0] == "metadata" else ("names", ""), end=1)
        elif shape == "table":
            kind: Kind = "quantization" if of == "QuantizationParameters" else role[0]
            found = self._options(table) if of == "Options" else str(of)
            self.table(found, target, (kind, role[1]))
        else:
            places = flat.elements(table, number)
            self.claim(target, 4 + 4 * len(places), ("structure", ""))
            for index, place in enumerate(places):
                self.table(str(of), place, self._role(str(of), index))

    def _vector(self, start: int, item: int, role: Role, end: int = 0) -> None:
        count = struct.unpack_from("<I", self.data, start)[0]
        self.claim(start, 4 + item * count + end, role)

    def _options(self, operator: Table) -> str:
        place = flat.place(operator, OPTIONS_TYPE)
        return "ReshapeOptions" if place and self.data[place] in WITH_VECTOR else "Options"

    def _role(self, name: str, index: int) -> Role:
        """Return what an element of a list of tables is for."""
        if name == "Buffer":
            return self.buffers.get(index, ("other constants", ""))
        if name == "Tensor":
            return "structure", self.layers.get(index, "")
        return ("metadata", "") if name == "Metadata" else ("structure", "")

    def _behind(self, buffer: Table, role: Role) -> None:
        """Claim contents that lie behind the flatbuffer."""
        places = flat.place(buffer, OFFSET), flat.place(buffer, SIZE)
        start, size = (struct.unpack_from("<Q", self.data, p)[0] if p else 0 for p in places)
        if start > 1 and start + size <= len(self.data):
            self.claim(start, size, role)

    def parts(self) -> list[Part]:
        """Return what was claimed, and what is between: padding, labels, or of no use."""
        found, reached = [], 0
        for start, (end, (kind, layer)) in sorted(self.claimed.items()):
            found.append(self._gap(reached, start))
            size = max(0, end - max(start, reached))
            found.append(Part(kind=kind, layer=layer, bytes=size))
            reached = max(reached, end)
        found.append(self._gap(reached, len(self.data)))
        return [part for part in found if part.bytes]

    def _gap(self, start: int, end: int) -> Part:
        between = bytes(self.data[start:end]) if end > start else b""
        kind: Kind = "unused"
        if ARCHIVE in between[:MOST_PADDING]:
            kind = "metadata"
        elif len(between) <= MOST_PADDING and not any(between):
            kind = "padding"
        return Part(kind=kind, layer="", bytes=len(between))
