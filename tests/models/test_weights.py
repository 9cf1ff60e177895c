"""The committed weights: small enough, described, and as good as they say on real images."""

import pytest

from models.accuracy import evaluate
from models.checkpoint import build
from models.data import open_dataset
from models.idx import DEBIAN
from models.metadata import read_metadata
from models.registry import WEIGHTS, trained

LEAST = {"lenet5@fashion-mnist": 0.89, "mobilenet_v1_0.25_64@fashion-mnist": 0.90}


@pytest.mark.parametrize("name", LEAST)
def test_a_file_states_what_was_asked_of_it(name):
    words = read_metadata(trained()[name])
    assert words.top1 >= LEAST[name]
    assert f"{words.model}@{words.dataset}" == name


@pytest.mark.parametrize("name", LEAST)
def test_a_file_is_small_enough_to_be_committed(name):
    assert trained()[name].stat().st_size < 1_500_000


@pytest.mark.parametrize("name", LEAST)
def test_unseen_images_are_recognised(name, sample):
    built = build(name)
    data = open_dataset(str(sample), "test").sample(500, 0)
    assert evaluate(built.module, data, built.preprocessing).top1 > LEAST[name] - 0.04


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not here")
@pytest.mark.parametrize("name", LEAST)
def test_the_stated_accuracy_is_that_of_all_ten_thousand_images(name):
    """Other processors round otherwise: an image in a thousand may fall on the other side."""
    built = build(name)
    data = open_dataset("fashion-mnist", "test")
    found = evaluate(built.module, data, built.preprocessing).top1
    assert found == pytest.approx(built.weights.top1, abs=0.001)


def test_every_file_is_accounted_for():
    text = (WEIGHTS / "LICENSES.md").read_text()
    for name in trained():
        assert name in text
        assert f"{100 * read_metadata(trained()[name]).top1:.2f} %" in text
