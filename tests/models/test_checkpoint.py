"""Networks from names, seeds and files: what is read off a file, and what is refused."""

import os
import random
import resource
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoint import build, create, read_state, save
from models.family import ModelError
from models.metadata import Metadata
from models.preprocess import Preprocessing
from models.registry import resolve

LENET = resolve("lenet5")


@pytest.fixture
def network():
    torch.manual_seed(1)
    return create(LENET).eval()


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def refusal(name, path):
    """The one line that `build` refuses a file with."""
    with pytest.raises(ModelError) as caught:
        build(name, weights=path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_seed_gives_the_same_weights_each_time():
    first, again, other = (build("lenet5", seed=s).module.state_dict() for s in (3, 3, 4))
    assert same(first, again)
    assert not same(first, other)


def test_building_leaves_the_global_random_state_alone(tmp_path, network):
    save(network, tmp_path / "w.safetensors", Metadata())
    before = torch.random.get_rng_state()
    build("lenet5", seed=9)
    build("lenet5", weights=tmp_path / "w.safetensors")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_random_weights_say_that_they_are_random():
    built = build("mobilenet_v1_0.25_64", seed=5)
    assert (built.weights.origin, built.weights.seed) == ("random", 5)
    assert built.weights.top1 is None
    assert built.class_names is None
    assert (built.classes, built.channels) == (1000, 3)
    assert not built.module.training


def test_safetensors_come_back_with_their_words(tmp_path, network):
    path = tmp_path / "w.safetensors"
    words = Metadata(
        model="lenet5",
        dataset="toys",
        top1=0.5,
        class_names=tuple("abcdefghij"),
        preprocessing=Preprocessing(1, (28, 28), (0.25,), (0.5,)),
    )
    save(network, path, words)
    built = build("lenet5", weights=path)
    assert same(built.module.state_dict(), network.state_dict())
    assert (built.weights.origin, built.weights.dataset, built.weights.top1) == (
        "file",
        "toys",
        0.5,
    )
    assert len(built.weights.sha256) == 64
    assert built.preprocessing == words.preprocessing
    assert built.class_names == words.class_names


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: OrderedDict((f"module.{key}", value) for key, value in state.items()),
    ],
    ids=["state_dict", "under state_dict", "under model", "parallel"],
)
def test_pth_files_of_the_usual_forms_load(tmp_path, network, wrap):
    path = tmp_path / "w.pth"
    torch.save(wrap(network.state_dict()), path)
    built = build("lenet5", weights=path)
    assert same(built.module.state_dict(), network.state_dict())
    assert built.weights.origin == "file"


def test_the_files_own_classes_and_channels_are_taken_over(tmp_path):
    spec = resolve("resnet18")
    path = tmp_path / "grey.safetensors"
    save(create(spec, classes=10, channels=1), path, Metadata())
    built = build("resnet18", weights=path)
    assert (built.classes, built.channels) == (10, 1)
    assert built.preprocessing.mean == (pytest.approx(0.449, abs=1e-3),)
    assert built.module(torch.zeros(1, 1, 224, 224)).shape == (1, 10)


def test_batch_counts_may_be_missing_as_in_old_checkpoints(tmp_path):
    module = create(resolve("mobilenet_v1_0.25_32"))
    state = {k: v for k, v in module.state_dict().items() if "num_batches_tracked" not in k}
    torch.save(state, tmp_path / "old.pth")
    built = build("mobilenet_v1_0.25_32", weights=tmp_path / "old.pth")
    assert torch.equal(built.module.classifier.weight, module.classifier.weight)


def test_half_precision_files_become_float32(tmp_path, network):
    save(network.half(), tmp_path / "w.safetensors", Metadata())
    built = build("lenet5", weights=tmp_path / "w.safetensors")
    assert {p.dtype for p in built.module.parameters()} == {torch.float32}


def test_weights_used_at_another_resolution_keep_their_statistics_and_lose_their_accuracy(tmp_path):
    words = Metadata(
        model="mobilenet_v1_0.25_64",
        top1=0.9,
        preprocessing=Preprocessing(1, (64, 64), (0.25,), (0.5,)),
    )
    path = tmp_path / "w.safetensors"
    save(create(resolve("mobilenet_v1_0.25_64"), classes=10, channels=1), path, words)
    built = build("mobilenet_v1_0.25_96", weights=path)
    assert built.preprocessing.size == (96, 96)
    assert built.preprocessing.mean == (0.25,)
    assert built.weights.top1 is None
    assert build("mobilenet_v1_0.25_64", weights=path).weights.top1 == 0.9


def test_the_projects_own_weights_are_trained():
    built = build("lenet5@fashion-mnist")
    assert built.weights.origin == "trained"
    assert built.weights.dataset == "fashion-mnist"
    assert built.class_names[9] == "Ankle boot"


def test_a_trained_name_takes_no_other_weights(tmp_path):
    with pytest.raises(ModelError, match="comes with its weights; give --weights with 'lenet5'"):
        build("lenet5@fashion-mnist", weights=tmp_path / "x.pth")


class Evil:
    """Pickles as a call: what a hostile checkpoint does."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    path, target = tmp_path / "evil.pth", tmp_path / "made by the pickle"
    torch.save({"state_dict": Evil(target)}, path)
    assert refusal("lenet5", path) == (
        f"refused: {path} contains pickled objects; save a state_dict or safetensors"
    )
    assert not target.exists()


def test_a_whole_pickled_module_is_refused(tmp_path, network):
    torch.save(network, tmp_path / "whole.pth")
    assert refusal("lenet5", tmp_path / "whole.pth").startswith("refused: ")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, network, suffix, share):
    path = tmp_path / f"w.{suffix}"
    if suffix == "pth":
        torch.save(network.state_dict(), path)
    else:
        save(network, path, Metadata())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "cannot read the weights" in refusal("lenet5", path)


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt"])
def test_noise_and_text_are_refused(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    for content in (
        random.Random(0).randbytes(5000),
        b"hello, I am a checkpoint\n",
        b"\x80\x02}q\x00.",
    ):
        path.write_bytes(content)
        refusal("lenet5", path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    assert "no weights file" in refusal("lenet5", tmp_path / "w.pth")
    assert "no weights file" in refusal("lenet5", tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, torch.zeros(3)])
def test_a_pth_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    assert "holds no state_dict" in refusal("lenet5", tmp_path / "w.pth")


def test_the_weights_of_another_network_are_refused_with_the_first_names(tmp_path, network):
    path = tmp_path / "w.safetensors"
    save(network, path, Metadata())
    message = refusal("resnet18", path)
    assert "missing: conv1.weight, bn1.weight, bn1.bias and" in message
    assert "unexpected: classifier.0.bias" in message


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path, network):
    state = dict(network.state_dict())
    state["classifier.2.weight"] = torch.zeros(5, 7)
    save_file(state, tmp_path / "w.safetensors")
    assert "of another shape: classifier.2.weight is 5x7 and not 84x120" in refusal(
        "lenet5", tmp_path / "w.safetensors"
    )


def test_a_stem_of_odd_channels_is_refused(tmp_path):
    save(create(LENET, channels=4), tmp_path / "w.safetensors", Metadata())
    with pytest.raises(ModelError, match="for 4 channels; images have 1 or 3"):
        build("lenet5", weights=tmp_path / "w.safetensors")


def test_saving_replaces_the_old_file_and_leaves_nothing_else(tmp_path, network):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"old")
    save(network, path, Metadata())
    assert list(tmp_path.iterdir()) == [path]
    assert same(read_state(path), dict(sorted(network.state_dict().items())))


def test_saving_where_it_cannot_leaves_nothing(tmp_path, network):
    with pytest.raises(ModelError, match="cannot write"):
        save(network, tmp_path / "no such directory" / "w.safetensors", Metadata())
    target = tmp_path / "taken.safetensors"
    target.mkdir()
    with pytest.raises(ModelError, match="cannot write"):
        save(network, target, Metadata())
    assert list(tmp_path.iterdir()) == [target]


def test_saving_on_a_full_disk_keeps_the_old_file(tmp_path, network):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(ModelError, match="cannot write"):
            save(network, path, Metadata())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"
