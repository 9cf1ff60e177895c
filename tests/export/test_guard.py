"""Calibration images that would spoil an int8 file are refused, or doubted by name."""

import numpy as np
import pytest

from export.guard import Drift, check
from export.precision import ExportError

RNG = np.random.default_rng(0)
LABELS = np.arange(128) % 10
GOOD = RNG.standard_normal((128, 3, 8, 8)).astype(np.float32)


def doubts(images=GOOD, labels=LABELS, classes=10, drift=None, pixels=None) -> str:
    told = check(
        images, labels[: len(images)], "pets (train)", classes=classes, drift=drift, pixels=pixels
    )
    return "; ".join(told)


def test_good_images_raise_no_doubt() -> None:
    assert doubts() == ""
    assert doubts(drift=Drift(mean=0.01, variance=0.93)) == ""


def test_too_few_images_are_named_with_how_many_would_do() -> None:
    assert "only 8 images set the ranges; give 128 with --images 128" in doubts(GOOD[:8])
    assert "only 128 images" in doubts(labels=np.arange(128), classes=1000)
    assert "--images 1000" in doubts(labels=np.arange(128), classes=1000)


def test_constant_images_are_counted() -> None:
    images = GOOD.copy()
    images[3:5] = np.array([0.5, -1.0, 2.0]).reshape(3, 1, 1)
    assert "2 of 128 images are one constant colour" in doubts(images)


@pytest.mark.parametrize(
    ("images", "kind"),
    [
        (np.zeros((16, 1, 4, 4), np.float32), "one constant"),
        (np.ones((1, 1, 4, 4), np.float32), "one constant"),
        (np.repeat(GOOD[:1], 16, 0), "the same image"),
    ],
)
def test_images_that_are_all_the_same_are_refused(images, kind: str) -> None:
    with pytest.raises(ExportError, match=f"are {kind}; give real images") as caught:
        doubts(images)
    assert caught.value.exit_code == 2


def test_classes_that_no_image_shows_are_counted() -> None:
    assert "of 1 of the 10 classes" in doubts(labels=np.zeros(128, int))
    assert doubts(labels=np.zeros(128, int), classes=None) == ""


@pytest.mark.parametrize("drift", [Drift(0.45, 0.46), Drift(0.0, 0.12), Drift(76, 7600)])
def test_images_unlike_those_of_training_are_told_by_the_first_batch_norm(drift) -> None:
    assert "not what the network was trained on" in doubts(drift=drift)
    assert "--mean, --std" in doubts(drift=drift)


@pytest.mark.parametrize("images", [GOOD * 100 + 128, GOOD / 255])
def test_without_a_batch_norm_the_images_own_scale_is_looked_at(images) -> None:
    assert "normalised ones about 0 and 1" in doubts(images)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(0, 255, ""), (20, 200, ""), (0, 76, "brighter than 76 of 255"), (90, 255, "darker than 90")],
)
def test_images_that_leave_out_a_part_of_the_scale_are_doubted(low, high, told: str) -> None:
    pixels = np.linspace(low, high, GOOD.size, dtype=np.float32).reshape(GOOD.shape)
    assert told in doubts(pixels=pixels)
    assert bool(doubts(pixels=pixels)) is bool(told)
