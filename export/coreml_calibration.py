"""Activation ranges of a Core ML program, by running it in the reference interpreter.

coremltools' own calibration runs the program on a Mac, and keeps the range of the last sample only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devices import mil
from export.jobs import Quantizing
from export.ranges import Ranges

Array = npt.NDArray[Any]
# As coremltools' passes take them: the limits of each tensor, under "rmin" and "rmax".
Stats = dict[str, dict[str, float]]


def observed(
    package: Path, program: Any, inputs: Sequence[Mapping[str, Array]], quantizing: Quantizing
) -> Stats:
    """Return the range of every tensor of a program over the calibration inputs.

    Args:
        package: the float program as it lies on the disk.
        program: the same in coremltools' own form, for what its concatenations join.
        inputs: one inference each, an array for each input.
        quantizing: how a range is taken from the values.
    """
    ranges = Ranges(quantizing.method, quantizing.percentile)
    names: set[str] = set()

    def keep(name: str, values: Array) -> None:
        if np.issubdtype(values.dtype, np.floating):
            names.add(name)
            ranges.observe(name, values)

    runner = mil.load(package)
    for one in inputs:
        runner.run(one, keep)
    limits = {name: ranges.of(name) for name in names}
    return _stats(limits, _joined(program))


def _joined(program: Any) -> list[set[str]]:
    """Return the tensors that concatenations join, with what they become, in groups."""
    groups: list[set[str]] = []
    for op in program.functions["main"].operations:
        if op.op_type != "concat":
            continue
        group = {value.name for value in (*op.values, *op.outputs)}
        groups, touched = [g for g in groups if not g & group], [g for g in groups if g & group]
        groups.append(group.union(*touched))
    return groups


def _stats(limits: Mapping[str, tuple[float, float]], joined: Sequence[set[str]]) -> Stats:
    """Give tensors that are joined one range, so that joining them needs no arithmetic."""
    common = dict(limits)
    for group in joined:
        known = [limits[name] for name in group if name in limits]
        if known:
            whole = min(low for low, _ in known), max(high for _, high in known)
            common |= dict.fromkeys(group, whole)
    return {name: {"rmin": low, "rmax": high} for name, (low, high) in common.items()}
