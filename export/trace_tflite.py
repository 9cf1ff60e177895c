"""The intermediate values of a TFLite file, by LiteRT without delegates, every tensor kept."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from export.inspect_tflite import read as read_graph
from export.inspection import Graph, Operator
from export.trace import HALF, Array, Grid, Run, Step, Trace, Weight, common, grid

# LiteRT's own order of a weight's dimensions, to torch's (O, I, height, width).
WEIGHT_ORDER = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2)}
# The plain kernels first: they are the quick ones. Some files run on the reference kernels only.
KERNELS = (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF)


def read(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Trace:
    """Read a file whose signature names `inputs` and `outputs`, or numbers them in this order.

    Raises:
        ValueError: it is not a TFLite file, or LiteRT cannot run it without delegates.
    """
    graph = read_graph(path)
    interpreter = _interpreter(path)
    values = _Values(interpreter, graph)
    operators = [o for o in graph.operators if values.computed(o.inputs)]
    runner = interpreter.get_signature_runner()
    places = _places(runner.get_input_details(), inputs)
    return Trace(
        steps=tuple(_step(operator, values) for operator in operators),
        inputs=tuple(map(str, places)),
        outputs=tuple(map(str, _places(runner.get_output_details(), outputs))),
        run=_runner(interpreter, values, places),
        grids=values.grids(),
    )


def _places(details: dict[str, Any], names: Sequence[str]) -> list[int]:
    """Return the tensors' numbers in the order of `names`; other converters call them args_0."""
    if set(names) != set(details):
        names = sorted(details, key=lambda name: [int(n) for n in re.findall(r"\d+", name)][-1:])
    return [int(details[name]["index"]) for name in names]


def _interpreter(path: Path) -> Interpreter:
    reason = ""
    for kernels in KERNELS:
        try:
            interpreter = Interpreter(
                str(path), experimental_op_resolver_type=kernels,
                experimental_preserve_all_tensors=True, num_threads=1,
            )  # fmt: skip
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
        else:
            return interpreter
    raise ValueError(f"LiteRT cannot run it without delegates: {reason}")


class _Values:
    """What the tensors hold: the constants now, the others after a run."""

    def __init__(self, interpreter: Interpreter, graph: Graph) -> None:
        self._interpreter = interpreter
        self._details = {str(d["index"]): d for d in interpreter.get_tensor_details()}
        self._source = {name: name for name in graph.constants}
        for operator in graph.operators:  # float16 weights are restored by an operator of the file
            if operator.kind == "DEQUANTIZE" and operator.inputs[0] in self._source:
                self._source[operator.outputs[0]] = self._source[operator.inputs[0]]

    def computed(self, names: Sequence[str]) -> list[str]:
        """Return those of `names` that are no constants."""
        return [name for name in names if name not in self._source]

    def constant(self, name: str) -> Array:
        """Return a constant in float32."""
        return self.real(self._source[name])

    def scales(self, name: str) -> Array | None:
        """Return the scales of a quantized constant, None where it is float."""
        found = self._details[self._source[name]]["quantization_parameters"]["scales"]
        return np.asarray(found, np.float64) if len(found) else None

    def real(self, name: str) -> Array:
        """Return what a tensor holds in float32, in the file's own layout."""
        stored = self._interpreter.get_tensor(int(name))
        parameters = self._details[name]["quantization_parameters"]
        scale, zero = parameters["scales"].astype(np.float32), parameters["zero_points"]
        if not len(scale):
            return np.asarray(stored, np.float32)
        if len(scale) > 1:
            axis = parameters["quantized_dimension"]
            shape = [-1 if i == axis else 1 for i in range(stored.ndim)]
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        return np.asarray((stored.astype(np.float32) - zero.astype(np.float32)) * scale)

    def grids(self) -> dict[str, Grid]:
        """Return the grid of every tensor that is not float32."""
        return {name: g for name, d in self._details.items() if (g := _grid(d))}

    def write(self, place: int, array: Array) -> None:
        """Set an input, quantized where the file takes integers."""
        self._interpreter.set_tensor(place, _stored(array, self._details[str(place)]))


def _grid(details: dict[str, Any]) -> Grid | None:
    if details["dtype"] == np.float16:
        return HALF
    scale, zero = details["quantization"]
    if not scale or not np.issubdtype(details["dtype"], np.integer):
        return None
    kind = np.iinfo(details["dtype"])
    return grid(float(scale), int(zero), int(kind.min), int(kind.max))


def _stored(array: Array, details: dict[str, Any]) -> Array:
    if not np.issubdtype(details["dtype"], np.integer):
        return array.astype(details["dtype"])
    scale, zero = details["quantization"]
    kind = np.iinfo(details["dtype"])
    rounded = np.clip(np.round(array / scale) + zero, kind.min, kind.max)
    return np.asarray(rounded.astype(details["dtype"]))


def _step(operator: Operator, values: _Values) -> Step:
    kind = common(operator.kind)
    return Step(
        kind=kind,
        inputs=tuple(values.computed(operator.inputs)),
        output=operator.outputs[0],
        weight=_weight(operator, values) if kind in {"conv", "linear"} else None,
        fused=bool(operator.fused),
    )


def _weight(operator: Operator, values: _Values) -> Weight | None:
    name, *more = operator.inputs[1:]
    if values.computed([name]) or operator.kind in {"TRANSPOSE_CONV", "BATCH_MATMUL"}:
        return None
    bias = more[0] if more and not values.computed(more[:1]) else None
    array = values.constant(name)
    order = WEIGHT_ORDER.get(operator.kind)
    return Weight(
        values=array.transpose(order) if order else array,
        bias=values.constant(bias) if bias else None,
        scales=values.scales(name),
        bias_scales=values.scales(bias) if bias else None,
    )


def _runner(interpreter: Interpreter, values: _Values, places: Sequence[int]) -> Run:
    def run(arrays: Sequence[Array], wanted: Sequence[str]) -> dict[str, Array]:
        for place, array in zip(places, arrays, strict=True):
            values.write(place, _moved(array, 1, 3))
        interpreter.invoke()
        return {name: _moved(values.real(name), 3, 1) for name in wanted}

    return run


def _moved(array: Array, source: int, target: int) -> Array:
    return np.moveaxis(array, source, target) if array.ndim == 4 else array
