"""A rounded program is held to its scales, and every rounding is judged by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb

from devices import mil
from export.artifact import Calibration
from export.calibration import golden
from export.coreml_check import check, roundings, rows
from tests.devices.mil import packages

X = [{"x": packages.noise(1, 4, 6, 6, seed=seed)} for seed in range(3)]
EXPECTED = {"y": np.concatenate([np.maximum(one["x"], 0) for one in X])}


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., Path]:
    """Save ReLU of a rounded input; the scale may be wrong, and so may be its other end."""

    def save(scale: float, back: float | None = None) -> Path:
        def build(x: Any) -> Any:
            stored = mb.quantize(
                input=x, scale=np.float32(scale), output_dtype="int8", name="stored"
            )
            real = mb.dequantize(input=stored, scale=np.float32(back or scale))
            return mb.relu(x=real, name="y")

        return packages.save(packages.model(build, (1, 4, 6, 6)), tmp_path / "made.mlpackage")

    return save


def verdicts(path: Path) -> dict[str, bool]:
    return {c.name: c.passed for c in check(path, X, EXPECTED)}


def test_a_right_scale_passes_both(package) -> None:
    assert verdicts(package(5 / 127)) == {"scales": True, "rounding": True}


def test_a_scale_that_differs_on_the_way_back_fails_the_scales(package) -> None:
    assert not verdicts(package(5 / 127, back=10 / 127))["scales"]


def test_a_range_that_is_far_too_small_fails_the_rounding_only(package) -> None:
    assert verdicts(package(1 / 127)) == {"scales": True, "rounding": False}


def test_a_range_that_is_too_small_is_said_what_to_do_about(package) -> None:
    told = {scale: check(package(scale), X, EXPECTED)[1].detail for scale in (5 / 127, 1 / 127)}
    assert "--images" not in told[5 / 127]
    assert all(option in told[1 / 127] for option in ("--images", "--keep-float LAYER"))


def test_inputs_of_the_calibrations_own_amplitude_are_checked() -> None:
    """A layer norm makes a faint input as large as any, and larger in the mean over the image."""
    _, rows_of_noise = golden(None, None, [(1, 3, 8, 8)], seed=0)
    calibration = Calibration(source="random", images=8, fingerprint="", method="min-max")
    chosen = rows(rows_of_noise, calibration)
    assert len(chosen) == 4
    assert {rows_of_noise[row].kind for row in chosen} == {"noise"}
    assert all(0.9 < rows_of_noise[row].amplitude <= 1 for row in chosen)


def test_a_program_that_rounds_nothing_is_not_w8a8(tmp_path: Path) -> None:
    made = packages.model(lambda x: mb.relu(x=x, name="y"), (1, 4, 6, 6))
    path = packages.save(made, tmp_path / "float.mlpackage")
    assert verdicts(path) == {"scales": True, "rounding": False}


def test_the_noise_of_a_rounding_is_that_of_its_step(package) -> None:
    scale = 5 / 127
    [found] = roundings(mil.load(package(scale)), X)
    assert found.tensor == "x"
    assert found.clipped == 0
    # Rounding to steps of q leaves an even error of variance q squared over 12.
    assert found.noise / found.values == pytest.approx(scale**2 / 12, rel=0.15)


def test_the_weakest_and_the_most_clipped_tensor_are_named(package) -> None:
    [_, rounding] = check(package(1 / 127), X, EXPECTED)
    assert "x is the weakest" in rounding.detail
    assert "%" in rounding.detail
