"""From an image to a network's input: each step of `Preprocessing`, one at a time."""

import numpy as np
import pytest
from PIL import Image

from models.images import ArraySource, fit, normalise
from models.preprocess import Preprocessing

GREY = Preprocessing(1, (8, 8), (0.0,), (1.0,))


def gradient(width, height):
    """Red grows to the right, green downwards, blue is 128."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 128)], 2).round().astype(np.uint8))


def test_colour_becomes_luminance():
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    assert set(fit(red, GREY).ravel()) == {76}  # 0.299 of red, ITU-R 601


def test_grey_becomes_three_equal_channels():
    pixels = fit(Image.new("L", (5, 9), 77), Preprocessing(3, (8, 8), (0.0,) * 3, (1.0,) * 3))
    assert pixels.shape == (3, 8, 8)
    assert set(pixels.ravel()) == {77}


def test_without_a_shorter_side_the_whole_image_is_resized():
    pixels = fit(gradient(40, 10), Preprocessing(3, (8, 16), (0.0,) * 3, (1.0,) * 3))
    assert pixels.shape == (3, 8, 16)
    assert pixels[0, 0, 0] < 12
    assert pixels[0, 0, -1] > 243


@pytest.mark.parametrize(("width", "height"), [(80, 40), (40, 80), (41, 83)])
def test_with_a_shorter_side_the_centre_is_taken(width, height):
    pixels = fit(
        gradient(width, height), Preprocessing(3, (8, 8), (0.0,) * 3, (1.0,) * 3, resize=20)
    )
    middle = pixels[:2, 3:5, 3:5].mean()
    assert middle == pytest.approx(127.5, abs=4)
    long_axis = 0 if width > height else 1
    span = np.ptp(pixels[long_axis].astype(int)) / np.ptp(pixels[1 - long_axis].astype(int))
    assert span == pytest.approx(0.5, rel=0.15)


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([[0, 255]], np.uint8), (64, 32))
    assert fit(Image.fromarray(stripes), GREY)[..., 1:-1] == pytest.approx(127.5, abs=1)


def test_a_crop_larger_than_the_resized_image_is_padded_with_black():
    pixels = fit(Image.new("L", (10, 10), 200), Preprocessing(1, (8, 8), (0.0,), (1.0,), resize=4))
    assert pixels[0, 0, 0] == 0
    assert pixels[0, 4, 4] == 200


def test_values_are_scaled_shifted_and_divided_by_channel():
    pixels = np.array([[[[255]], [[0]], [[51]]]], np.uint8)
    how = Preprocessing(3, (1, 1), (0.5, 0.25, 0.2), (0.5, 0.25, 0.1))
    values = normalise(pixels, how)
    assert values.dtype == np.float32
    assert values.ravel() == pytest.approx([1.0, -1.0, 0.0], abs=1e-6)


def test_the_fast_path_for_grey_arrays_gives_what_pillow_gives():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    source, rows = ArraySource(pixels), np.array([2, 0])
    slow = np.stack([fit(Image.fromarray(pixels[row]), GREY) for row in rows])
    assert np.array_equal(source.sized(rows, GREY), slow)
