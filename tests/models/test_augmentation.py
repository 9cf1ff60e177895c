"""Augmentation moves and mirrors, and nothing else."""

import numpy as np
import torch

from models.augmentation import augment, training_batches
from models.learner import preprocessing_for
from models.recipe import Recipe
from models.registry import resolve


def test_augmentation_moves_and_mirrors_but_invents_nothing():
    images = np.arange(2 * 10 * 10, dtype=np.float32).reshape(2, 1, 10, 10)
    recipe = Recipe(shift=0.2, flip=True)
    out = augment(images, recipe, np.random.default_rng(0))
    assert out.shape == images.shape
    for before, after in zip(images, out, strict=True):
        assert set(after.ravel()) <= set(before.ravel())
    assert not np.array_equal(out, images)


def test_no_augmentation_is_the_identity():
    images = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)
    recipe = Recipe(shift=0.0, flip=False)
    assert np.array_equal(augment(images, recipe, np.random.default_rng(0)), images)


def test_about_half_of_the_images_are_mirrored():
    images = np.tile(np.arange(4, dtype=np.float32), (1000, 1, 4, 1))
    out = augment(images, Recipe(shift=0.0), np.random.default_rng(0))
    assert 400 < (out[:, 0, 0, 0] == 3).sum() < 600


def test_every_epoch_has_an_order_of_its_own_and_the_same_again(halves):
    how, recipe = preprocessing_for(resolve("lenet5"), halves), Recipe(batch=30)

    def labels(epoch):
        batches = list(training_batches(halves, how, recipe, 0, epoch))
        assert [len(x) for x, _ in batches] == [30, 30, 4]
        return torch.cat([y for _, y in batches]).tolist()

    assert labels(0) == labels(0) != labels(1)
    assert sorted(labels(1)) == sorted(halves.labels.tolist())
