"""Which numbers each operator of a file computes in, and how often it multiplies and adds.

An integer TFLite operator is one whose input is an integer. ONNX and Core ML write an integer
operator as a float one between conversions, which the runtime fuses: there its inputs must come
from a dequantization, its weights be stored as integers, and its output go to a quantization, in
ONNX at most through a clipping, in Core ML through any activation; a matrix product may answer in
float.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

import msgspec

from export.computation import INTEGER, Computation
from export.inspection import (
    ACTIVATIONS,
    CONVERSIONS,
    Bytes,
    Graph,
    Operator,
    merged,
    placed,
    plain,
    read,
)
from export.inspection import stored as stored_bytes

CONVOLUTIONS = {"conv", "conv2d", "conv3d", "depthwiseconv2d", "qlinearconv", "convinteger"}
TRANSPOSED = {"convtranspose", "transposeconv"}
PRODUCTS = {
    *("batchmatmul", "fullyconnected", "gemm", "linear", "matmul", "matmulinteger", "qgemm"),
    "qlinearmatmul",
}
LINEAR = CONVOLUTIONS | TRANSPOSED | PRODUCTS
QUANTIZE = {"quantize", "quantizelinear"}
DEQUANTIZE = {"dequantize", "dequantizelinear"}
CLIPPING = {"relu", "relu6", "clip"}
NAMED = 3


def computation(path: Path, format: str) -> Computation:
    """Read which numbers a model file computes in.

    Raises:
        ArtifactError: the format's package is not installed, or the file cannot be read.
    """
    return count(read(path, format), format)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """The operators of one kind that compute in one number type; `weight_bytes` is as stored."""

    kind: str
    computes_in: str
    count: int
    weight_bytes: int


def kinds(graph: Graph, format: str) -> list[Kind]:
    """Return a file's operators by kind and number type, the most first; conversions come last."""
    flow = Flow(graph, format)
    found: dict[tuple[str, str], list[Operator]] = {}
    for operator in placed(graph):
        convert = plain(operator.kind) in CONVERSIONS or operator.place == "weights"
        dtype = "" if convert else flow.dtype(operator)
        found.setdefault((operator.kind, dtype), []).append(operator)
    listed = [
        Kind(
            kind=kind,
            computes_in=dtype,
            count=len(of),
            weight_bytes=sum(o.weight_bytes for o in of if o.place != "weights"),
        )
        for (kind, dtype), of in found.items()
    ]
    return sorted(listed, key=lambda k: (not k.computes_in, -k.count, k.kind))


def count(graph: Graph, format: str) -> Computation:
    """Count a graph's operators by the number type they compute in."""
    flow = Flow(graph, format)
    typed = [(operator, flow.dtype(operator)) for operator in flow.computing]
    linear = [(operator, dtype) for operator, dtype in typed if plain(operator.kind) in LINEAR]
    weights = {k: size for k, size in merged(graph.constants.values()).items() if size}
    quantized = weights.keys() & INTEGER
    floats = [label(operator) for operator, dtype in linear if dtype not in INTEGER]
    return Computation(
        operators=_counted(dtype for _, dtype in typed),
        linear=_counted(dtype for _, dtype in linear),
        weight_bytes=dict(sorted(weights.items())),
        in_float=tuple(floats[:NAMED]) if quantized else (),
    )


def _counted(dtypes: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(dtypes).items()))


def label(operator: Operator) -> str:
    """Return an operator's name with its kind, the name's last part where it is a long list."""
    name = operator.name.rpartition(";")[2] or operator.name
    return f"{name} ({operator.kind})" if name else operator.kind


@dataclass(frozen=True)
class Flow:
    """A graph with its operators found by what they make and read."""

    graph: Graph
    format: str

    @cached_property
    def computing(self) -> list[Operator]:
        """The operators that compute on the input: no conversion, and not on constants alone."""
        found = placed(self.graph)
        return [o for o in found if o.place != "weights" and plain(o.kind) not in CONVERSIONS]

    @cached_property
    def stored(self) -> dict[str, Bytes]:
        """The bytes behind each tensor that is made of constants alone."""
        return stored_bytes(self.graph)

    @cached_property
    def _makers(self) -> dict[str, Operator]:
        return {name: o for o in self.graph.operators for name in o.outputs}

    @cached_property
    def _readers(self) -> dict[str, list[Operator]]:
        found: dict[str, list[Operator]] = {}
        for operator in self.graph.operators:
            for name in operator.inputs:
                found.setdefault(name, []).append(operator)
        return found

    def dtype(self, operator: Operator) -> str:
        """Return the number type that an operator computes in; an integer's sign is left out."""
        data = [name for name in operator.inputs if name not in self.stored]
        if self.format != "tflite" and self._is_fused(operator, data):
            return self._dtype(self._makers[data[0]].inputs[0], operator)
        return self._dtype(data[0], operator) if data else operator.dtype

    def _dtype(self, name: str, operator: Operator) -> str:
        known = self.graph.values.get(name)
        return (known.dtype if known else operator.dtype).removeprefix("u")

    def _is_fused(self, operator: Operator, data: list[str]) -> bool:
        kind = plain(operator.kind)
        dequantized = all(self._made_by(name, DEQUANTIZE) for name in data)
        if not data or not dequantized or (kind in LINEAR and not self._integer_weights(operator)):
            return False
        return kind in PRODUCTS or all(map(self._is_quantized, operator.outputs))

    def _made_by(self, name: str, kinds: set[str]) -> bool:
        return name in self._makers and plain(self._makers[name].kind) in kinds

    def _integer_weights(self, operator: Operator) -> bool:
        weights = [self.stored[name] for name in operator.inputs if name in self.stored]
        return not weights or any(INTEGER & kinds.keys() for kinds in weights)

    def _is_quantized(self, name: str) -> bool:
        fused = ACTIVATIONS if self.format == "coreml" else CLIPPING
        readers = self._readers.get(name, [])
        return bool(readers) and all(
            plain(reader.kind) in QUANTIZE
            or (plain(reader.kind) in fused and all(map(self._is_quantized, reader.outputs)))
            for reader in readers
        )

    def macs(self, operator: Operator) -> int:
        """Return the multiply-accumulates of one image; 0 where the weights are not known."""
        kind, values = plain(operator.kind), self.graph.values
        weights = [values[n].shape for n in operator.inputs if n in self.stored and n in values]
        data = [values[n].shape for n in operator.inputs if n not in self.stored and n in values]
        filters = max(weights, key=prod, default=())
        outputs = prod(operator.output_shape) // max(1, next(iter(operator.output_shape), 1))
        if kind in PRODUCTS:
            return outputs * (data[0][-1] if data and data[0] else 0)
        if kind == "depthwiseconv2d":
            return outputs * prod(filters[1:3]) if filters else 0
        if kind in CONVOLUTIONS:
            return outputs * prod(filters[1:]) if filters else 0
        return prod(data[0][1:]) * prod(filters[1:]) if kind in TRANSPOSED and data else 0
