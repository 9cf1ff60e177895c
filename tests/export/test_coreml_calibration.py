"""Ranges of a Core ML program over all samples, from the interpreter."""

from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb

from export.coreml_calibration import observed
from export.coreml_program import FLOAT, reload
from export.jobs import Quantizing
from tests.devices.mil import packages

SAMPLES = [{"x": np.full((1, 2), value, np.float32)} for value in (1.0, 3.0, 2.0)]


def stats(build, quantizing: Quantizing | None = None):
    made = packages.model(build, (1, 2))
    package = Path(made.package_path)
    return observed(package, reload(made, FLOAT), SAMPLES, quantizing or Quantizing())


def test_a_range_covers_every_sample_and_not_only_the_last() -> None:
    found = stats(lambda x: mb.mul(x=x, y=np.float32(2), name="double"))
    assert found["double"] == {"rmin": 2.0, "rmax": 6.0}


def test_tensors_that_are_joined_share_one_range() -> None:
    def build(x):
        low = mb.mul(x=x, y=np.float32(-1), name="low")
        high = mb.mul(x=x, y=np.float32(10), name="high")
        return mb.concat(values=[low, high], axis=1, name="joined")

    found = stats(build)
    assert found["low"] == found["high"] == found["joined"] == {"rmin": -3.0, "rmax": 30.0}


@pytest.mark.parametrize("percentile", [90.0, 99.99])
def test_the_method_asked_for_sets_the_range(percentile: float) -> None:
    found = stats(
        lambda x: mb.mul(x=x, y=np.float32([1.0, 100.0]), name="wide"),
        Quantizing(method="percentile", percentile=percentile),
    )
    assert 1.0 <= found["wide"]["rmin"] <= found["wide"]["rmax"] <= 300.0
