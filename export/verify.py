"""Is the artifact still the same function? Compares outputs with the float original's.

Needs numpy only: the same judgement is made after export and on every device.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from export.artifact import (
    GOLDEN,
    Alarm,
    ArtifactError,
    Calibration,
    Check,
    Constants,
    GoldenRow,
    Manifest,
    OutputError,
    Proof,
    Tolerance,
)
from export.precision import PRECISIONS

Array = npt.NDArray[Any]
# PSNR of outputs that agree to the last bit: infinite, which JSON cannot hold.
EXACT_DB = 300.0
# What is left of the error then is that of constants which are float16 numbers themselves: over the
# zoo 84 dB and more.
STRUCTURE_DB = 70.0
CONSTANT = "the reference output is constant: it cannot tell right from wrong"


def golden(directory: Path, manifest: Manifest) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the golden inputs and the original's outputs by name, one row an input.

    Raises:
        ArtifactError: the file is missing, damaged, or does not fit the manifest.
    """
    path = directory / GOLDEN
    try:
        with np.load(path, allow_pickle=False) as arrays:
            inputs = {t.name: arrays[f"in.{t.name}"] for t in manifest.contract.inputs}
            outputs = {t.name: arrays[f"out.{t.name}"] for t in manifest.contract.outputs}
    except (OSError, KeyError, ValueError) as error:
        raise ArtifactError(f"cannot read {path}: {error}; export it again") from None
    return inputs, outputs


def comparable_rows(manifest: Manifest) -> list[int]:
    """Return the golden inputs that this precision promises to get right."""
    return calibrated_rows(manifest.golden, manifest.quantization.calibration)


def calibrated_rows(golden: Sequence[GoldenRow], calibration: Calibration | None) -> list[int]:
    """Return the golden inputs that a file is right for; without calibration, all of them.

    Integer activations are only defined inside the range that calibration saw, so there the inputs
    are those of the calibration's own kind and amplitude. A fainter one is no smaller behind a norm
    over its own values, and may be larger.
    """
    if calibration is None:
        return list(range(len(golden)))
    kind = "noise" if calibration.source == "random" else "image"
    return [i for i, row in enumerate(golden) if row.kind == kind and row.amplitude == 1]


def prove(
    manifest: Manifest,
    expected: dict[str, Array],
    got: dict[str, Array],
    alarms: Sequence[Any] = (),
) -> Proof:
    """Compare what a runtime computed with the original's outputs, row by row.

    Args:
        manifest: names the precision, the outputs, and what the golden inputs are.
        expected: the float original's outputs by name, shape (rows, ...).
        got: the artifact's outputs by name, same shapes.
        alarms: what a reference saw go wrong in the numbers on the way, each as
            `devices.device.Alarm`. An overflow refutes the file, whatever its outputs are.

    Returns:
        A proof with `verified` True or False, or None where all that was expected is one number
        over and over, and the reason if it is not True; the runtime is not set.
    """
    tolerance = PRECISIONS[manifest.precision].tolerance
    rows = comparable_rows(manifest)
    names = [tensor.name for tensor in manifest.contract.outputs]
    worst = _worst(alarms, rows)
    wrong = next((m for n in names if (m := _misfit(n, expected[n], got.get(n)))), None)
    if wrong:
        why = _overflowed(worst) or wrong
        return Proof(verified=False, reason=why, tolerance=tolerance, alarms=worst)
    errors = tuple(compare(n, expected[n][rows], got[n][rows], tolerance) for n in names)
    missed = next((r for e in errors if (r := _missed(e, tolerance))), None)
    reason = _overflowed(worst) or missed
    verified: bool | None = reason is None
    if verified and all(_is_constant(expected[n][rows]) for n in names):
        verified, reason = None, CONSTANT
    return Proof(
        verified=verified, reason=reason, tolerance=tolerance, outputs=errors, alarms=worst
    )


def _is_constant(expected: Array) -> bool:
    """Tell outputs that many a wrong file would give, too; a single number is an answer."""
    return expected.size > 1 and bool((expected == expected.flat[0]).all())


def _worst(alarms: Sequence[Any], rows: list[int]) -> tuple[Alarm, ...]:
    """Return the worst alarm of each kind and operator over the golden inputs compared."""
    found: dict[tuple[str, str], Alarm] = {}
    for alarm in sorted(alarms, key=lambda a: -a.share):
        if alarm.row in rows:
            key = (alarm.kind, alarm.operator)
            found.setdefault(key, msgspec.convert(alarm, Alarm, from_attributes=True))
    return tuple(found.values())


def _overflowed(alarms: tuple[Alarm, ...]) -> str | None:
    first = next((alarm for alarm in alarms if alarm.kind == "overflow"), None)
    if first is None:
        return None
    return f"'{first.operator}' overflows: {first.share:.2g} of its values are no finite numbers"


def checked(proof: Proof, checks: tuple[Check, ...]) -> Proof:
    """Return a proof with what else the file was held to; it fails where one of these does."""
    failed = next((check for check in checks if not check.passed), None)
    proof = msgspec.structs.replace(proof, checks=checks)
    if failed is None or proof.verified is False:
        return proof
    return msgspec.structs.replace(proof, verified=False, reason=f"{failed.name}: {failed.detail}")


def _misfit(name: str, expected: Array, got: Array | None) -> str | None:
    if got is None:
        return f"the artifact gives no output '{name}'"
    if got.shape != expected.shape:
        return f"output '{name}' has shape {got.shape}, the original {expected.shape}"
    if not np.isfinite(got).all():
        return f"output '{name}' holds values that are not finite"
    return None


def judged(proof: Proof, constants: Constants | None) -> Proof:
    """Return a proof with the comparison of weights in it, refuted by a weight that is wrong."""
    proof = msgspec.structs.replace(proof, constants=constants)
    off = _off(constants) if constants else None
    if off is None:
        return proof
    reason = f"{proof.reason}; {off}" if proof.verified is False else off
    return msgspec.structs.replace(proof, verified=False, reason=reason)


def _off(constants: Constants) -> str | None:
    if constants.worst > 1:
        return f"'{constants.where}' is off by {constants.worst:.3g} times what rounding allows"
    if constants.structure_db < STRUCTURE_DB:
        return (
            f"with the network's weights and no rounding it has PSNR {constants.structure_db:.1f} "
            f"dB, below {STRUCTURE_DB:.0f} dB: something other than a weight is wrong"
        )
    return None


def compare(name: str, expected: Array, got: Array, tolerance: Tolerance) -> OutputError:
    """Return the error figures of one output, arrays of shape (rows, ...).

    PSNR is 20 log10 of the original's largest magnitude over the root mean square error.
    """
    a, b = expected.astype(np.float64), got.astype(np.float64)
    peak = float(np.abs(a).max(initial=0.0)) or 1.0
    margin = 2 * peak * 10 ** (-tolerance.psnr_db / 20)
    agreed, decided = _top1(a, b, margin)
    return OutputError(
        name=name,
        max_abs_error=float(np.abs(a - b).max(initial=0.0)),
        psnr_db=round(psnr(a, b), 2),
        cosine=_cosine(a, b, margin),
        top1=agreed / decided if decided else None,
        decided=decided,
        inputs=len(a),
    )


def psnr(right: Array, found: Array) -> float:
    """Return 20 log10 of the largest magnitude of `right` over the root mean square error."""
    peak = float(np.abs(right).max(initial=0.0)) or 1.0
    error = float(np.sqrt(np.mean((right.astype(np.float64) - found) ** 2)))
    return min(20 * float(np.log10(peak / error)), EXACT_DB) if error else EXACT_DB


def _cosine(a: Array, b: Array, margin: float) -> float | None:
    centre = a.mean(axis=0, keepdims=True)
    x, y = (a - centre).ravel(), (b - centre).ravel()
    if np.sqrt(np.mean(x**2)) < margin:
        return None
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return round(float(x @ y) / norm, 7) if norm else 0.0


def _top1(a: Array, b: Array, margin: float) -> tuple[int, int]:
    if a.ndim != 2 or a.shape[1] < 2:
        return 0, 0
    ordered = np.sort(a, axis=1)
    decided = ordered[:, -1] - ordered[:, -2] > margin
    agreed = (a.argmax(axis=1) == b.argmax(axis=1)) & decided
    return int(agreed.sum()), int(decided.sum())


def _missed(error: OutputError, tolerance: Tolerance) -> str | None:
    where = f"output '{error.name}'"
    if error.psnr_db < tolerance.psnr_db:
        return f"{where} has PSNR {error.psnr_db:.1f} dB, below {tolerance.psnr_db:.0f} dB"
    if error.cosine is not None and error.cosine < tolerance.cosine:
        return f"{where} has cosine {error.cosine:.5f}, below {tolerance.cosine}"
    if error.top1 is not None and error.top1 < tolerance.top1:
        return f"{where} agrees on {error.top1:.0%} of the best answers, below {tolerance.top1:.0%}"
    return None
