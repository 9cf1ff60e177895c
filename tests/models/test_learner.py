"""A network about to be trained: its images, what learns how fast, and what stays as it is."""

from dataclasses import replace

import pytest
import torch

from models.family import ModelError
from models.learner import from_scratch, from_weights, preprocessing_for
from models.recipe import Recipe
from models.registry import resolve
from models.training import Plan, train
from models.transfer import Transfer

SPEC = resolve("mobilenet_v1_0.25_32")
WEIGHTS = resolve("mobilenet_v1_0.25_64@fashion-mnist").weights
QUICK = Recipe(epochs=1, batch=32, lr=0.05)


def trained(data, **transfer):
    plan = Plan(SPEC, QUICK, transfer=Transfer(WEIGHTS, **transfer))
    return train(plan, data).module.state_dict()


def moved(before, after):
    return {key for key in before if not torch.equal(before[key], after[key])}


@pytest.fixture
def start(small):
    return from_weights(SPEC, small, Transfer(WEIGHTS)).network.state_dict()


def test_grey_arrays_are_normalised_by_their_own_statistics_at_the_networks_size(halves):
    how = preprocessing_for(resolve("mobilenet_v1_0.25_96"), halves)
    pixels = halves.source.pixels / 255
    assert (how.channels, how.size, how.resize) == (1, (96, 96), None)
    assert how.mean == (pytest.approx(pixels.mean(), abs=1e-4),)
    assert how.std == (pytest.approx(pixels.std(), abs=1e-4),)


def test_a_network_that_takes_no_images_is_refused(small):
    other = replace(SPEC, name="go", preprocessing=None)
    for made in (from_scratch, lambda *a: from_weights(*a, Transfer(WEIGHTS))):
        with pytest.raises(ModelError, match="'go' takes no images"):
            made(other, small)


def test_images_are_brought_to_what_the_weights_were_trained_with(small):
    how = from_weights(SPEC, small, Transfer(WEIGHTS)).preprocessing
    known = resolve("mobilenet_v1_0.25_64@fashion-mnist").preprocessing
    assert how == replace(known, size=(32, 32))


def test_grey_images_go_into_a_network_of_three_channels(small, tmp_path):
    from models.checkpoint import create

    path = tmp_path / "colour.pth"
    torch.save(create(SPEC).state_dict(), path)
    learner = from_weights(SPEC, small, Transfer(path))
    assert learner.preprocessing.channels == 3
    ((x, _),) = small.batches(learner.preprocessing, 100)
    assert learner.forward.eval()(torch.from_numpy(x)).shape == (100, 10)


def test_the_nearer_to_the_image_the_slower(small):
    head, upper, lower = from_weights(SPEC, small, Transfer(WEIGHTS, body_lr_factor=0.1)).parts
    assert [share for _, share in (head, upper, lower)] == [1.0, 0.1, pytest.approx(0.01)]
    learner = from_weights(SPEC, small, Transfer(WEIGHTS))
    assert learner.network.features[0][0] in learner.parts[2][0]
    assert learner.network.features[-1][-1][0] in learner.parts[1][0]
    assert learner.parts[0][0] == (learner.network.classifier,)


def test_frozen_features_do_not_move_and_neither_do_their_statistics(small, start):
    after = trained(small, freeze=True)
    assert moved(start, after) == {"classifier.weight", "classifier.bias"}


def test_fine_tuning_moves_every_layer(small, start):
    assert moved(start, trained(small)) == set(start)


def test_quantization_aware_moves_parameters_and_no_statistics(small, start):
    after = trained(small, body_lr_factor=1.0, quantize_aware=True)
    statistics = {key for key in start if "running" in key or "tracked" in key}
    assert moved(start, after) == set(start) - statistics
