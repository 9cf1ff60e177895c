"""The intermediate values of an ONNX file, by ONNX Runtime with its optimisations off.

Fused kernels would hide the tensors between; what QDQ operators compute is defined without them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError
from onnx import ValueInfoProto, numpy_helper

from export.trace import HALF, Array, Grid, Step, Trace, Weight, common, grid

WEIGHTED = {"conv", "linear"}


def read(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Trace:
    """Read a file with these `inputs` and `outputs`.

    Raises:
        ValueError: it is not an ONNX file, or ONNX Runtime cannot run it.
    """
    try:
        model = onnx.load(str(path))
    except DecodeError as error:
        raise ValueError(f"it is not an ONNX file ({error})") from None
    if not model.graph.node:
        raise ValueError("it holds no operators")
    constants = _Constants(model)
    nodes = [n for n in model.graph.node if constants.reads(n)]
    steps = tuple(_step(node, constants) for node in nodes)
    session = _session(model, [step.output for step in steps])
    grids = _grids(nodes, session, constants)
    return Trace(steps, tuple(inputs), tuple(outputs), _runner(session, inputs), grids)


class _Constants:
    """The stored values, those restored by DequantizeLinear and Cast among them."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.scales: dict[str, Array] = {}
        for node in model.graph.node:
            if node.op_type == "Constant":
                value = onnx.helper.get_attribute_value(node.attribute[0])
                self.values[node.output[0]] = numpy_helper.to_array(value)
            elif all(name in self.values for name in node.input if name):
                self._fold(node)

    def reads(self, node: onnx.NodeProto) -> bool:
        """Tell whether a node computes with anything that is not constant."""
        return any(name and name not in self.values for name in node.input)

    def _fold(self, node: onnx.NodeProto) -> None:
        stored = [self.values[name] for name in node.input if name]
        if node.op_type == "DequantizeLinear":
            self.values[node.output[0]] = _restored(node, stored)
            self.scales[node.output[0]] = np.atleast_1d(stored[1]).astype(np.float64)
        elif node.op_type in {"Cast", "Identity"}:
            self.values[node.output[0]] = stored[0]


def _restored(node: onnx.NodeProto, stored: Sequence[Array]) -> Array:
    values, scale = stored[0].astype(np.float32), np.asarray(stored[1], np.float32)
    zero = stored[2].astype(np.float32) if len(stored) > 2 else np.float32(0)
    if scale.ndim:
        axis = int(_attribute(node, "axis", 1))
        shape = [-1 if i == axis % values.ndim else 1 for i in range(values.ndim)]
        scale, zero = scale.reshape(shape), np.broadcast_to(zero, scale.shape).reshape(shape)
    return np.asarray((values - zero) * scale)


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    found = (onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name)
    return next(found, default)


def _step(node: onnx.NodeProto, constants: _Constants) -> Step:
    kind = common(node.op_type)
    return Step(
        kind=kind,
        inputs=tuple(name for name in node.input if name and name not in constants.values),
        output=node.output[0],
        weight=_weight(node, constants) if kind in WEIGHTED else None,
    )


def _weight(node: onnx.NodeProto, constants: _Constants) -> Weight | None:
    name = node.input[1]
    if name not in constants.values:
        return None
    values = constants.values[name].astype(np.float32)
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not _attribute(node, "transB", 0)):
        values = values.T
    bias = node.input[2] if len(node.input) > 2 else ""
    return Weight(
        values=values,
        bias=constants.values[bias].astype(np.float32) if bias in constants.values else None,
        scales=constants.scales.get(name),
        bias_scales=constants.scales.get(bias),
    )


def _grids(
    nodes: Sequence[onnx.NodeProto], session: ort.InferenceSession, constants: _Constants
) -> dict[str, Grid]:
    found = {o.name: HALF for o in session.get_outputs() if o.type == "tensor(float16)"}
    for node in nodes:
        if node.op_type == "QuantizeLinear":
            zero = constants.values[node.input[2]] if len(node.input) > 2 else np.uint8(0)
            kind = np.iinfo(zero.dtype)
            scale = float(constants.values[node.input[1]])
            found[node.output[0]] = grid(scale, int(zero), kind.min, kind.max)
    return found


def _session(model: onnx.ModelProto, tensors: Sequence[str]) -> ort.InferenceSession:
    """Return a session that gives every tensor; its types are ONNX Runtime's to infer."""
    there = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=name) for name in tensors if name not in there)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions have no common type of their own
        raise ValueError(f"ONNX Runtime cannot run it: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _runner(session: ort.InferenceSession, inputs: Sequence[str]) -> Any:
    def run(arrays: Sequence[Array], wanted: Sequence[str]) -> dict[str, Array]:
        given = dict(zip(inputs, arrays, strict=True))
        computed = [name for name in wanted if name not in given]
        values = dict(zip(computed, session.run(computed, given), strict=True))
        return {name: np.asarray((given | values)[name], np.float32) for name in wanted}

    return run
