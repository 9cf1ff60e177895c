"""The first batch norm of a trained network knows its images from others."""

import dataclasses

import numpy as np
import pytest
import torch

from export import source
from export.drift import first_norm
from export.program import make
from models.data import open_dataset

NETWORK = "mobilenet_v1_0.25_64@fashion-mnist"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    (found,) = source.find([NETWORK], weights=None, shapes=[], seed=0, name=None)
    return make(found, tmp_path_factory.mktemp("made"))


def images(made, **changed) -> np.ndarray:
    preprocessing = dataclasses.replace(made.preprocessing, **changed)
    dataset = open_dataset("fashion-mnist", "train").sample(32, 0)
    return np.concatenate([batch for batch, _ in dataset.batches(preprocessing, 32)])


def test_the_networks_own_images_do_not_drift(made) -> None:
    drift = first_norm(made.program, images(made), None)
    assert drift is not None
    assert not drift.far


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.5), (0.0, 1.0), (0.0, 1 / 255)])
def test_images_prepared_in_another_way_do(made, mean: float, std: float) -> None:
    drift = first_norm(made.program, images(made, mean=(mean,), std=(std,)), None)
    assert drift is not None
    assert drift.far


def test_a_fixed_batch_is_fed_in_pieces(made) -> None:
    pictures = images(made)
    whole, pieces = (first_norm(made.program, pictures, batch) for batch in (None, 8))
    assert whole is not None
    assert pieces is not None
    assert pieces.mean == pytest.approx(whole.mean, rel=1e-3)


@pytest.mark.parametrize("layers", [[torch.nn.BatchNorm2d(3)], [torch.nn.ReLU()]])
def test_without_trained_statistics_nothing_is_said(layers) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), *layers).eval()
    program = torch.export.export(module, (torch.ones(4, 3, 8, 8),))
    assert first_norm(program, np.ones((4, 3, 8, 8), np.float32), 4) is None
