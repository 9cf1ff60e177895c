"""What a rounded Core ML program can be held to, besides its outputs.

Rounding feeds on itself: a change of one part in ten million may move an integer somewhere, and
then others. So a file is also run with rounding and clipping left out, where only consistent scales
give the original's outputs, and each rounding is judged alone, against its own input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devices import mil
from export.artifact import Calibration, Check, GoldenRow
from export.precision import PRECISIONS
from export.verify import EXACT_DB, calibrated_rows, compare

Array = npt.NDArray[Any]
ROWS = 4
REMEDY = (
    "its range is too small for inputs like those that calibrated: take more of them (--images), "
    "--calibration-method min-max, or keep the layer there float (--keep-float LAYER)"
)
# Clipping is what calibration chose for outliers; beyond this share, the range was wrong.
CLIPPED = 0.05


@dataclass
class Rounding:
    """A quantize operator over some inputs: what it was given, and what that lost, as powers."""

    tensor: str
    signal: float = 0.0
    noise: float = 0.0
    clipped: int = 0
    values: int = 0

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio in dB."""
        if not self.noise:
            return EXACT_DB
        return float(10 * np.log10(max(self.signal, 1e-30) / self.noise))


def rows(golden: Sequence[GoldenRow], calibration: Calibration | None) -> list[int]:
    """Return the golden inputs to check on: some of those that are like the calibration's."""
    return calibrated_rows(golden, calibration)[:ROWS]


def check(
    package: Path, inputs: Sequence[Mapping[str, Array]], expected: Mapping[str, Array]
) -> tuple[Check, ...]:
    """Return what a W8A8 package shows beyond its outputs.

    Args:
        package: the package.
        inputs: one inference each, like those that set the ranges.
        expected: the original's outputs by name, a row for each inference.
    """
    program = mil.load(package)
    return (_unrounded(program, inputs, expected), _weakest(roundings(program, inputs)))


def _unrounded(
    program: mil.Program, inputs: Sequence[Mapping[str, Array]], expected: Mapping[str, Array]
) -> Check:
    tolerance = PRECISIONS["int8-weights"].tolerance
    results = [program.run(one, linear=True) for one in inputs]
    errors = [
        compare(name, wanted, np.concatenate([r[name][:1] for r in results]), tolerance)
        for name, wanted in expected.items()
    ]
    worst = min(error.psnr_db for error in errors)
    return Check(
        name="scales",
        passed=worst >= tolerance.psnr_db,
        detail=f"with rounding left out, PSNR {worst:.1f} dB (at least {tolerance.psnr_db:.0f} dB)",
    )


def _weakest(found: Sequence[Rounding]) -> Check:
    if not found:
        return Check(name="rounding", passed=False, detail="no activation is rounded at all")
    weakest = min(found, key=lambda rounding: rounding.snr_db)
    most = max(found, key=lambda rounding: rounding.clipped / rounding.values)
    share = most.clipped / most.values
    passed = share <= CLIPPED
    detail = (
        f"of {len(found)} rounded tensors, {weakest.tensor} is the weakest, at "
        f"{weakest.snr_db:.1f} dB; {most.tensor} is clipped most, in {share:.2%} of its values"
    )
    return Check(name="rounding", passed=passed, detail=detail if passed else f"{detail}: {REMEDY}")


def roundings(program: mil.Program, inputs: Sequence[Mapping[str, Array]]) -> tuple[Rounding, ...]:
    """Return every quantize operator of a program over these inputs, in the program's order."""
    quantizers = {o.name: o for o in program.operators if o.kind == "quantize"}
    found = {name: Rounding(o.inputs["input"][0]) for name, o in quantizers.items()}
    given = {rounding.tensor for rounding in found.values()}
    seen: dict[str, Array] = {}

    def keep(name: str, values: Array) -> None:
        if name in given:
            seen[name] = values
        if name in found:
            _account(
                found[name], seen[found[name].tensor], values, _scales(program, quantizers[name])
            )

    for one in inputs:
        seen |= dict(one)
        program.run(one, keep)
    return tuple(found.values())


def _scales(program: mil.Program, operator: mil.Operator) -> tuple[Array, Array]:
    scale = program.constant(operator.inputs["scale"][0])
    names = operator.inputs.get("zero_point")
    return scale, program.constant(names[0]) if names else np.zeros_like(scale)


def _account(rounding: Rounding, given: Array, rounded: Array, scales: tuple[Array, Array]) -> None:
    scale, zero_point = (np.asarray(s, np.float64) for s in scales)
    integers = rounded.astype(np.float64)
    error = given - scale * (integers - zero_point)
    beyond = np.abs(error) > 0.51 * np.abs(scale)
    rounding.signal += float(np.square(given, dtype=np.float64).sum())
    rounding.noise += float(np.square(error).sum())
    rounding.clipped += int(beyond.sum())
    rounding.values += given.size
