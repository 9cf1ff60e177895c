"""Accounts for the bytes of an ONNX file by its messages' serialized sizes."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx

from export.inspect_onnx import load, read
from export.weighing import Part, Role, roles

# Fields of a tensor that hold its numbers.
NUMBERS = (
    *("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"),
    "string_data",
)


def weigh(path: Path) -> list[Part]:
    """Account for every byte; what no rule names is the messages' own structure.

    Raises:
        ValueError: it is not an ONNX file.
    """
    model, known = load(path), roles(read(path))
    graph = model.graph
    parts = [part for tensor in graph.initializer for part in _tensor(tensor, known)]
    parts += [_names(_node_names(node)) for node in graph.node]
    ports = (*graph.input, *graph.output, *graph.value_info)
    parts += [_names([port.name for port in ports] + [graph.name])]
    texts = (model.doc_string, graph.doc_string, model.producer_name, model.producer_version)
    parts.append(_part("metadata", "", sum(map(_length, texts)) + _properties(model)))
    parts += [_part("metadata", "", _length(n.doc_string) + _properties(n)) for n in graph.node]
    rest = path.stat().st_size - sum(part.bytes for part in parts)
    return [*parts, _part("structure", "", rest)]


def _tensor(tensor: onnx.TensorProto, known: dict[str, Role]) -> Iterator[Part]:
    kind, layer = known.get(tensor.name, ("other constants", ""))
    whole = tensor.ByteSize()
    bare = onnx.TensorProto.FromString(tensor.SerializeToString())
    for field in NUMBERS:
        bare.ClearField(field)
    yield Part(kind=kind, layer=layer, bytes=whole - bare.ByteSize())
    yield _names([tensor.name])
    yield _part("structure", "", bare.ByteSize() - _length(tensor.name))


def _node_names(node: onnx.NodeProto) -> list[str]:
    return [node.name, *node.input, *node.output]


def _names(names: Iterable[str]) -> Part:
    return _part("names", "", sum(map(_length, names)))


def _length(text: str) -> int:
    return len(text.encode())


def _properties(message: onnx.ModelProto | onnx.NodeProto) -> int:
    return sum(entry.ByteSize() for entry in message.metadata_props)


def _part(kind: str, layer: str, size: int) -> Part:
    return Part(kind=kind, layer=layer, bytes=size)  # type: ignore[arg-type]
