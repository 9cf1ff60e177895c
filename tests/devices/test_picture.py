"""Inputs as image files, and how an answer to one is judged."""

import io

import numpy as np
import pytest
from PIL import Image

from devices import picture

STEPS = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3)}


def coloured() -> np.ndarray:
    """Return a smooth picture in 8 bits, (3, 24, 32)."""
    ramp = np.add.outer(np.arange(24), np.arange(32))
    return np.stack([ramp * step for step in (1, 2, 4)]).astype(np.uint8)


def as_input(pixels: np.ndarray) -> np.ndarray:
    mean, std = (np.reshape(STEPS[name], (3, 1, 1)) for name in ("mean", "std"))
    return ((pixels / 255 - mean) / std).astype(np.float32)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_png_brings_back_the_input(layout: str) -> None:
    given = as_input(coloured())
    given = given if layout == "NCHW" else given.transpose(1, 2, 0)
    file = picture.file(given, layout, STEPS, "png")
    with Image.open(io.BytesIO(file)) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (32, 24), "RGB")
    np.testing.assert_allclose(picture.row(file, layout, STEPS), given, atol=1e-5)


def test_a_jpeg_is_smaller_and_loses_detail() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    file = picture.file(as_input(noise), "NCHW", STEPS, "jpeg")
    assert len(file) < noise.size
    back = picture.row(file, "NCHW", STEPS)
    assert back.shape == noise.shape
    assert np.abs(back - as_input(noise)).max() > 0.1


def test_what_is_beyond_black_and_white_is_cut_off() -> None:
    file = picture.file(as_input(coloured()) * 100, "NCHW", STEPS, "png")
    back = picture.row(file, "NCHW", STEPS)
    assert as_input(np.zeros((3, 1, 1))).min() <= back.min()
    assert back.max() <= as_input(np.full((3, 1, 1), 255)).max()


def test_only_clear_answers_are_held_against_one_another() -> None:
    right = np.array([[0.0, 5.0, 10.0], [0.0, 9.9, 10.0], [8.0, 0.0, 1.0]])
    found = np.array([[0.0, 6.0, 9.0], [0.0, 10.0, 9.9], [0.0, 7.0, 1.0]])
    assert picture.agreement(right, found) == (1, 2)


@pytest.mark.parametrize("scores", [np.zeros((3, 10)), np.ones((3, 1))])
def test_scores_that_name_no_class_decide_nothing(scores: np.ndarray) -> None:
    assert picture.agreement(scores, scores) == (0, 0)
