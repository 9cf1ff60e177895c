"""Training: the same bits from the same seed, a network that learns, and nothing half-done."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.checkpoint import build
from models.data import Dataset, open_dataset
from models.family import ModelError
from models.images import ArraySource
from models.metadata import read_metadata
from models.registry import resolve
from models.training import (
    Recipe,
    augment,
    evaluate,
    preprocessing_for,
    recipe_for,
    train,
    train_to_file,
)

QUICK = Recipe(epochs=2, batch=32, lr=0.05)


@pytest.fixture
def small(sample):
    return open_dataset(str(sample), "train").sample(100, 0)


def halves(count=64):
    """Two classes that a network must tell apart: bright above, or bright below."""
    labels = np.arange(count) % 2
    pixels = np.random.default_rng(0).integers(0, 60, (count, 28, 28), dtype=np.uint8)
    pixels[labels == 0, :14] += 150
    pixels[labels == 1, 14:] += 150
    return Dataset("halves", ("above", "below"), ArraySource(pixels), np.arange(count), labels)


def digest(module):
    total = hashlib.sha256()
    for tensor in module.state_dict().values():
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("name", ["lenet5", "mobilenet_v1_0.25_32"])
def test_the_same_seed_gives_the_same_bits(small, name):
    spec = resolve(name)
    torch.manual_seed(7)
    first = train(spec, small, QUICK, seed=1)
    torch.manual_seed(8)
    again = train(spec, small, QUICK, seed=1)
    assert digest(first) == digest(again)
    assert digest(train(spec, small, QUICK, seed=2)) != digest(first)


def test_the_random_state_and_the_threads_are_as_before(small):
    torch.manual_seed(3)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    train(resolve("lenet5"), small, QUICK, threads=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_network_learns_what_can_be_learnt(optimizer):
    data, spec = halves(), resolve("mobilenet_v1_0.25_32")
    lr = 0.05 if optimizer == "sgd" else 0.003
    recipe = Recipe(epochs=20, batch=8, lr=lr, optimizer=optimizer)
    module = train(spec, data, recipe)
    assert evaluate(module, data, preprocessing_for(spec, data)) > 0.95


def test_evaluation_counts_the_right_answers():
    data, spec = halves(), resolve("lenet5")

    class Always(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([[0.0, 1.0]]).repeat(len(x), 1)

    assert evaluate(Always(), data, preprocessing_for(spec, data), batch=10) == 0.5


def test_grey_arrays_are_normalised_by_their_own_statistics_at_the_networks_size():
    how = preprocessing_for(resolve("mobilenet_v1_0.25_96"), halves())
    pixels = halves().source.pixels / 255
    assert (how.channels, how.size, how.resize) == (1, (96, 96), None)
    assert how.mean == (pytest.approx(pixels.mean(), abs=1e-4),)
    assert how.std == (pytest.approx(pixels.std(), abs=1e-4),)


def test_steps_are_told_and_whole_at_the_end_of_each_epoch(small):
    told = []
    train(resolve("lenet5"), small, QUICK, progress=told.append)
    assert [step.epochs_done for step in told] == [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert all(step.loss > 0 for step in told)


def test_a_single_image_left_over_is_no_step(sample):
    data = open_dataset(str(sample), "train").sample(33, 0)
    told = []
    train(resolve("mobilenet_v1_0.25_32"), data, QUICK, progress=told.append)
    assert [step.epochs_done for step in told] == [1, 2]


def test_a_rate_too_high_is_told_in_one_line(small):
    wild = replace(QUICK, lr=1e30, warm_up=0.0)
    with pytest.raises(ModelError, match=r"training diverged in epoch \d: lower --lr"):
        train(resolve("mobilenet_v1_0.25_32"), small, wild)


def test_a_file_says_how_it_came_about_and_gives_the_accuracy_it_states(small, tmp_path):
    path = tmp_path / "w.safetensors"
    spec = resolve("lenet5")
    written = train_to_file(spec, small, small, path, QUICK, seed=4)
    words = read_metadata(path)
    assert words == written
    assert (words.model, words.dataset) == ("lenet5", "fashion-mnist-sample")
    assert words.fingerprint == small.fingerprint
    assert words.settings["seed"] == 4
    assert words.settings["epochs"] == QUICK.epochs
    assert words.class_names == small.classes
    built = build("lenet5", weights=path)
    assert evaluate(built.module, small, built.preprocessing) == words.top1 == built.weights.top1


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


def test_families_have_recipes_of_their_own():
    assert recipe_for(resolve("lenet5")).optimizer == "adamw"
    assert recipe_for(resolve("resnet18")) == Recipe()
