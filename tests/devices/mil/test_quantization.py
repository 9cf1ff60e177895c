"""Quantized activations: rounding, clipping, and what is left without them."""

import numpy as np
import pytest

from devices import mil
from tests.devices.mil import packages
from tests.devices.mil.packages import mb, noise

SCALE, ZERO = np.float32(0.05), np.int8(-10)
X = noise(1, 4, 5, 5, scale=4.0)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    def build(x):
        stored = mb.quantize(
            input=x, scale=SCALE, zero_point=ZERO, output_dtype="int8", name="stored"
        )
        return mb.dequantize(input=stored, scale=SCALE, zero_point=ZERO, name="real")

    made = packages.model(build, X.shape)
    return mil.load(packages.save(made, tmp_path_factory.mktemp("q") / "q.mlpackage"))


def test_values_are_rounded_half_to_even_and_clipped(program) -> None:
    kept = {}
    program.run({"x": X}, keep=kept.__setitem__)
    expected = np.clip(np.rint(X / SCALE) + ZERO, -128, 127)
    np.testing.assert_array_equal(kept["stored"], expected)
    np.testing.assert_allclose(kept["real"], (expected - ZERO) * SCALE, rtol=1e-6)


def test_the_share_of_clipped_values_is_told(program) -> None:
    program.run({"x": X})
    [alarm] = program.alarms
    stored = np.rint(X / SCALE) + ZERO
    assert (alarm.kind, alarm.operator) == ("saturation", "stored")
    assert alarm.share == pytest.approx(np.mean((stored < -128) | (stored > 127)))
    program.run({"x": 0.1 * X})
    assert program.alarms == ()


def test_made_linear_a_pair_gives_back_what_went_in(program) -> None:
    np.testing.assert_allclose(program.run({"x": X}, linear=True)["real"], X, rtol=1e-4, atol=1e-5)
    assert program.alarms == ()


def test_scales_may_go_by_channel(compute) -> None:
    scales = np.float32([0.01, 0.02, 0.04, 0.08])

    def build(x):
        stored = mb.quantize(input=x, scale=scales, axis=1, output_dtype="int8")
        return mb.dequantize(input=stored, scale=scales, axis=1)

    [found] = compute(build, X).values()
    along = scales.reshape(1, 4, 1, 1)
    np.testing.assert_allclose(found, np.clip(np.rint(X / along), -128, 127) * along, rtol=1e-6)
