"""Writes a TFLite file with nothing in it twice, and nothing that no runtime reads.

A converter's file repeats: every per-channel tensor has a vector of 64-bit zero points of its own,
all of them zero. Tables of a flatbuffer may share what they point to, so each vector, name and
constant is written once. What the file computes stays the same to the bit.
"""

from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

IDENTIFIER = b"TFL3"
# What the schema asks for, so that a runtime can compute on mapped weights.
WEIGHT_ALIGNMENT = 16
# More than the graph of most files takes.
BESIDE_WEIGHTS = 1 << 20
Array = npt.NDArray[Any]


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Writes equal vectors and equal strings once; bytes, which are weights, aligned."""

    def __init__(self, expected: int) -> None:
        """Make room for as many bytes; for more, all that is written is copied to double it."""
        super().__init__(expected)
        self._vectors: dict[tuple[str, bytes], int] = {}
        self._strings: dict[bytes, int] = {}

    def CreateNumpyVector(self, x: Array) -> int:  # noqa: N802  the base's name
        """Return where a vector is; the object API calls this for every array."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._vectors:
            write = self._weights if x.dtype == np.uint8 else super().CreateNumpyVector
            self._vectors[key] = write(x)
        return self._vectors[key]

    def _weights(self, data: Array) -> int:
        self.StartVector(1, data.size, WEIGHT_ALIGNMENT)
        self.head -= data.size
        self.Bytes[self.head : self.head + data.size] = data.data
        self.vectorNumElems = data.size
        return int(self.EndVector())

    def CreateString(self, s: bytes, *_: Any) -> int:  # noqa: N802  the base's name
        """Return where a string is."""
        if s not in self._strings:
            self._strings[s] = super().CreateString(s)
        return self._strings[s]


def read(data: bytes) -> Any:
    """Return a file's bytes as a `ModelT`, every constant inside its buffer.

    AI Edge Quantizer keeps large constants behind the flatbuffer, by offset and size.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    for buffer in model.buffers:
        if buffer.offset > 1:
            stored = data[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(stored, np.uint8)
        buffer.offset = buffer.size = 0
    return model


def pack(model: Any) -> bytes:
    """Return a `ModelT` as the bytes of a file; the model is changed on the way.

    Left out: the converter's own metadata and description, ranges seen in calibration, and
    operator codes and buffers that nothing refers to.
    """
    model.metadata, model.metadataBuffer, model.description = None, None, None
    _drop_unused_codes(model)
    _share_buffers(model)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            _slim(tensor)
        for operator in graph.operators:
            _as_arrays(operator, ("inputs", "outputs"))
        _as_arrays(graph, ("inputs", "outputs"))
    weights = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    builder = _Builder(weights + BESIDE_WEIGHTS)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _drop_unused_codes(model: Any) -> None:
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)


def _share_buffers(model: Any) -> None:
    """Leave one buffer for each constant; buffer 0 is the empty one, of tensors without data."""
    kept, numbers = [schema.BufferT()], {b"": 0}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            buffer = model.buffers[tensor.buffer]
            data = b"" if buffer.data is None else bytes(buffer.data)
            if data not in numbers:
                numbers[data] = len(kept)
                kept.append(buffer)
            tensor.buffer = numbers[data]
    model.buffers = kept


def _slim(tensor: Any) -> None:
    """Drop what stands for nothing, and give vectors the form in which equal ones are shared."""
    _as_arrays(tensor, ("shape", "shapeSignature"))
    scales = tensor.quantization
    if scales is None:
        return
    scales.min = scales.max = None
    if scales.scale is None and scales.details is None:
        tensor.quantization = None


def _as_arrays(table: Any, fields: tuple[str, ...]) -> None:
    for field in fields:
        values = getattr(table, field)
        if values is not None:
            setattr(table, field, np.asarray(values, np.int32))
