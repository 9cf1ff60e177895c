"""Transfer: where weights come from, what is taken over, and how the layers are split."""

from pathlib import Path

import pytest
import torch

from models.checkpoint import create, save
from models.family import ModelError
from models.metadata import Metadata
from models.registry import resolve
from models.transfer import find_weights, head_of, layers_of, start

TRAINED = resolve("lenet5@fashion-mnist").weights
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat")


def test_weights_are_a_file_or_a_network_that_comes_trained():
    assert find_weights("lenet5@fashion-mnist") == TRAINED
    assert find_weights("a.pth") == Path("a.pth")
    assert find_weights("folder/lenet5") == Path("folder/lenet5")


def test_a_network_without_weights_is_refused_with_one_that_has_them():
    with pytest.raises(ModelError, match=r"'lenet5' comes without .*'lenet5@fashion-mnist'"):
        find_weights("lenet5")


def test_a_misspelt_network_is_refused_with_the_nearest():
    with pytest.raises(ModelError, match="did you mean 'lenet5@fashion-mnist'"):
        find_weights("lenet5@fashion-mnit")


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("lenet5", {"classifier.4"}),
        ("vgg16", {"classifier.6"}),
        ("resnet18", {"fc"}),
        ("mobilenet", {"classifier"}),
    ],
)
def test_the_head_is_what_follows_the_number_of_classes(name, head):
    assert head_of(resolve(name), 3) == head


def test_layers_are_split_from_the_image_to_the_answer():
    network = create(resolve("lenet5"))
    layers = layers_of(network, frozenset({"classifier.4"}))
    assert layers.lower == (network.features[0], network.features[3])
    assert layers.upper == (network.classifier[0], network.classifier[2])
    assert layers.head == (network.classifier[4],)


def test_the_same_classes_keep_the_head():
    names = resolve("lenet5@fashion-mnist")
    built, head_is_new = start(resolve("lenet5"), TRAINED, [str(n) for n in range(10)])
    assert not head_is_new
    assert built.preprocessing == names.preprocessing


def test_other_classes_get_a_new_head_and_keep_the_rest():
    own, _ = start(resolve("lenet5"), TRAINED, [str(n) for n in range(10)])
    built, head_is_new = start(resolve("lenet5"), TRAINED, CLASSES)
    assert head_is_new
    assert (built.classes, built.class_names) == (5, CLASSES)
    state, before = built.module.state_dict(), own.module.state_dict()
    for key, tensor in state.items():
        same = tensor.shape == before[key].shape and torch.equal(tensor, before[key])
        assert same != key.startswith("classifier.4"), key


def test_as_many_classes_of_other_names_get_a_new_head_too():
    _, head_is_new = start(resolve("lenet5"), TRAINED, [f"animal {n}" for n in range(10)])
    assert head_is_new


def test_a_new_head_is_drawn_from_the_random_state():
    def head(seed):
        torch.manual_seed(seed)
        return start(resolve("lenet5"), TRAINED, CLASSES)[0].module.classifier[4].weight

    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save(create(resolve("mobilenet_v1_0.25_32")), path, Metadata())
    with pytest.raises(ModelError, match="does not fit this network"):
        start(resolve("lenet5"), path, CLASSES)
