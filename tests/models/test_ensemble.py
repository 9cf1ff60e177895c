"""Ensembles: what their members must agree on, and that they average probabilities."""

import pytest
import torch
from torch import nn

from models.checkpoint import build
from models.ensemble import Renormalised
from models.family import ModelError
from models.preprocess import Preprocessing
from models.registry import expand, resolve
from tests.models.networks import analysed, parameters, shapes_only

TRAINED = "lenet5@fashion-mnist"


def test_a_name_joins_the_full_names_of_any_members():
    spec = resolve(f"lenet+{TRAINED}+lenet5")
    assert spec.name == f"lenet5+{TRAINED}+lenet5"
    assert (spec.classes, spec.channels, spec.size) == (10, 1, (28, 28))
    assert spec.output == "probabilities"
    assert expand(["lenet+lenet"]) == ["lenet5+lenet5"]


def test_the_answer_is_the_mean_of_the_members_probabilities():
    ensemble = build("lenet5+lenet5").module
    first, second = ensemble.members
    x = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        expected = (first(x).softmax(1) + second(x).softmax(1)) / 2
        assert torch.allclose(ensemble(x), expected, atol=1e-7)
        assert torch.allclose(ensemble(x).sum(1), torch.ones(4))
        assert not torch.equal(first(x), second(x)), "members that are drawn differ"


def test_a_member_that_comes_trained_keeps_its_weights():
    alone, built = build(TRAINED), build(f"{TRAINED}+{TRAINED}")
    x = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        assert torch.allclose(built.module(x), alone.module(x).softmax(1), atol=1e-6)
    assert built.class_names == alone.class_names
    assert (built.weights.origin, built.weights.dataset) == ("trained", "fashion-mnist")
    assert built.weights.top1 is None


def test_one_member_without_weights_makes_the_ensemble_random():
    assert build(f"{TRAINED}+lenet5").weights.origin == "random"


def test_each_member_sees_images_by_its_own_mean_and_deviation():
    """The trained network's statistics are those of its data, not the paper's."""
    ensemble = build(f"lenet5+{TRAINED}")
    paper, data = resolve("lenet5").preprocessing, resolve(TRAINED).preprocessing
    assert ensemble.preprocessing == paper
    pixels = torch.rand(3, 1, 28, 28)
    member, alone = ensemble.module.members[1], build(TRAINED).module
    with torch.no_grad():
        found = member((pixels - paper.mean[0]) / paper.std[0])
        expected = alone((pixels - data.mean[0]) / data.std[0])
    assert torch.allclose(found, expected, atol=1e-4)


def test_colours_are_corrected_channel_by_channel():
    given = Preprocessing(3, (8, 8), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    wanted = Preprocessing(3, (8, 8), (0.5, 0.4, 0.3), (0.2, 0.3, 0.1))
    pixels = torch.rand(2, 3, 8, 8)

    def normalised(how):
        mean, std = (torch.tensor(v)[:, None, None] for v in (how.mean, how.std))
        return (pixels - mean) / std

    found = Renormalised(nn.Identity(), given, wanted)(normalised(given))
    assert torch.allclose(found, normalised(wanted), atol=1e-5)


def test_an_ensemble_costs_what_its_members_cost():
    found = analysed("vgg11_0.125_32+vgg16_0.125_32")
    members = [analysed("vgg11_0.125_32"), analysed("vgg16_0.125_32")]
    assert found.macs == sum(member.macs for member in members)
    assert found.parameters == sum(member.parameters for member in members)
    assert parameters(shapes_only("resnet18+googlenet")) == 11_689_512 + 7_005_832


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lenet5+resnet18", "lenet5 (1x28x28 to 10 classes) and resnet18 (3x224x224 to 1000"),
        ("resnet18+alexnet", "resnet18 (3x224x224 to 1000 classes) and alexnet (3x227x227 to 1000"),
        ("inception_naive+inception_naive", "inception_naive (256x28x28 to maps)"),
        ("lenet5+lenet6", "no model named 'lenet6'; did you mean"),
        ("lenet5+", "no model named ''"),
        ("+", "no model named ''"),
        ("lenet5+lenet5@nothing", "no model named 'lenet5@nothing'"),
    ],
)
def test_members_that_cannot_be_joined_are_named_in_one_line(name, words):
    with pytest.raises(ModelError) as caught:
        resolve(name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_weights_file_is_for_one_network(tmp_path):
    with pytest.raises(ModelError, match="--weights is for one network"):
        build("lenet5+lenet5", weights=tmp_path / "w.safetensors")
