"""Ranges of a TFLite file's activations, in the form that AI Edge Quantizer takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.ranges import Ranges
from export.tflite_ranges import activation_ranges
from tests import tiny


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranges") / "float.tflite"
    path.write_bytes(tiny.tflite_bytes())
    return path


def ranges(path: Path, images: Any) -> dict[str, dict[str, Any]]:
    inputs = [{"args_0": image[np.newaxis]} for image in np.moveaxis(images, 1, -1)]
    return activation_ranges(path, inputs, Ranges("min-max"))


def test_the_ranges_hold_what_every_image_gave_at_either_end(path: Path) -> None:
    found = ranges(path, tiny.images())
    ends = [(float(r["min"].squeeze()), float(r["max"].squeeze())) for r in found.values()]
    logits = tiny.forward(tiny.images())
    for values in (tiny.images(), logits):
        assert any(np.allclose((values.min(), values.max()), end, rtol=1e-5) for end in ends)


def test_each_bound_has_its_tensor_s_rank_and_constants_have_none(path: Path) -> None:
    found = ranges(path, tiny.images())
    assert {r["min"].ndim for r in found.values()} <= {2, 4}
    assert not any("weight" in name or "const" in name for name in found)


def test_a_tensor_that_is_always_zero_gets_a_range_that_arithmetic_can_hold(path: Path) -> None:
    found = ranges(path, np.zeros_like(tiny.images()))
    widths = {name: float(np.squeeze(r["max"] - r["min"])) for name, r in found.items()}
    image = next(name for name in found if "args_0" in name)
    assert float(found[image]["min"].squeeze()) == 0
    assert widths[image] >= min(width for name, width in widths.items() if name != image) > 0
