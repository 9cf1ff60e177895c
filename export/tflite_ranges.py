"""Activation ranges of a TFLite file, in AI Edge Quantizer's form.

The tool's own calibration takes a moving average, which cuts the extremes; here the ranges are
those of `export.ranges`, as in every other format.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from export.ranges import Ranges

SIGNATURE = "serving_default"
Array = npt.NDArray[Any]


def activation_ranges(
    path: Path, inputs: Iterable[Mapping[str, Array]], ranges: Ranges
) -> dict[str, dict[str, Array]]:
    """Run a float file; return the least and greatest value of each tensor that it computes.

    Args:
        path: the float file, whose tensors have unique names.
        inputs: arrays by the signature's names, in the file's layout.
        ranges: the rule; it sees every value.

    Returns:
        By tensor name ``min`` and ``max``, float32 of the tensor's rank and size 1.
    """
    interpreter = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    computed = _computed(interpreter)
    runner = interpreter.get_signature_runner(SIGNATURE)
    for arrays in inputs:
        runner(**arrays)
        for tensor in computed:
            ranges.observe(tensor["name"], interpreter.get_tensor(tensor["index"]))
    return {tensor["name"]: _bounds(ranges, tensor) for tensor in computed}


def _computed(interpreter: Any) -> list[dict[str, Any]]:
    """Return the float tensors that are an input or some operator's output, constants left out."""
    numbers = {int(d["index"]) for d in interpreter.get_input_details()}
    for operator in interpreter._get_ops_details():
        numbers.update(map(int, operator["outputs"]))
    details = interpreter.get_tensor_details()
    return [d for d in details if d["index"] in numbers and d["dtype"] == np.float32 and d["name"]]


def _bounds(ranges: Ranges, tensor: dict[str, Any]) -> dict[str, Array]:
    low, high = ranges.of(tensor["name"])
    shape = (1,) * len(tensor["shape"])
    return {"min": np.full(shape, low, np.float32), "max": np.full(shape, high, np.float32)}
