"""Activation ranges of a TFLite file, in AI Edge Quantizer's form.

The tool's own calibration takes a moving average, which cuts the extremes; here the ranges are
those of `export.ranges`, as in every other format.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
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
    with warnings.catch_warnings(category=UserWarning, action="ignore"):  # "for debugging only"
        interpreter = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    computed = _computed(interpreter)
    runner = interpreter.get_signature_runner(SIGNATURE)
    for arrays in inputs:
        runner(**arrays)
        for tensor in computed:
            ranges.observe(tensor["name"], interpreter.get_tensor(tensor["index"]))
    found = {tensor["name"]: ranges.of(tensor["name"]) for tensor in computed}
    usual = _usual(list(found.values()))
    return {t["name"]: _bounds(found[t["name"]], usual, len(t["shape"])) for t in computed}


def _computed(interpreter: Any) -> list[dict[str, Any]]:
    """Return the float tensors that are an input or some operator's output, constants left out."""
    numbers = {int(d["index"]) for d in interpreter.get_input_details()}
    for operator in interpreter._get_ops_details():
        numbers.update(map(int, operator["outputs"]))
    details = interpreter.get_tensor_details()
    return [d for d in details if d["index"] in numbers and d["dtype"] == np.float32 and d["name"]]


def _usual(bounds: Sequence[tuple[float, float]]) -> float:
    """Return the median width of the ranges that have one."""
    widths = [high - low for low, high in bounds if high > low]
    return float(np.median(widths)) if widths else 1.0


def _bounds(found: tuple[float, float], usual: float, rank: int) -> dict[str, Array]:
    """Return a range in the tool's form; a tensor that is always zero gets the usual width.

    A scale near zero, which its own range would give, overflows every runtime's arithmetic.
    """
    low, high = found if any(found) else (0.0, usual)
    shape = (1,) * rank
    return {"min": np.full(shape, low, np.float32), "max": np.full(shape, high, np.float32)}
