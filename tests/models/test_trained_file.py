"""What a training leaves behind."""

import csv
from dataclasses import replace

import pytest

from models.accuracy import Accuracy, evaluate
from models.checkpoint import build
from models.metadata import read_metadata
from models.recipe import Recipe
from models.registry import resolve
from models.trained_file import train_to_file
from models.training import Plan
from models.transfer import Transfer

QUICK = Recipe(epochs=2, batch=32, lr=0.05)


def test_a_file_says_how_it_came_about_and_gives_the_accuracy_it_states(small, tmp_path):
    path = tmp_path / "w.safetensors"
    written = train_to_file(Plan(resolve("lenet5"), QUICK, seed=4), small, small, path)
    words = read_metadata(path)
    assert words == written
    assert (words.model, words.dataset) == ("lenet5", "fashion-mnist-sample")
    assert words.fingerprint == small.fingerprint
    assert words.settings["seed"] == 4
    assert words.settings["epochs"] == words.epoch == QUICK.epochs
    assert words.class_names == small.classes
    built = build("lenet5", weights=path)
    accuracy = evaluate(built.module, small, built.preprocessing)
    assert accuracy == Accuracy(words.top1, words.top5)
    assert built.weights.top1 == words.top1


def test_the_log_and_the_curve_lie_beside_it_and_nothing_else(small, tmp_path):
    train_to_file(Plan(resolve("lenet5"), QUICK), small, small, tmp_path / "a.b.safetensors")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.b.csv", "a.b.safetensors", "a.b.svg"]
    with (tmp_path / "a.b.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert (tmp_path / "a.b.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("aware", [False, True])
def test_transferred_weights_load_by_the_same_name_and_say_what_they_came_from(
    small, tmp_path, aware
):
    path, spec = tmp_path / "w.safetensors", resolve("mobilenet_v1_0.25_32")
    weights = resolve("mobilenet_v1_0.25_64@fashion-mnist").weights
    plan = Plan(spec, QUICK, transfer=Transfer(weights, quantize_aware=aware))
    words = train_to_file(plan, small, small, path)
    built = build(spec.name, weights=path)
    assert evaluate(built.module, small, built.preprocessing).top1 == words.top1
    assert words.settings["quantize_aware"] is aware
    assert words.class_names[0] == "T-shirt/top", "known names are kept where images have numbers"
    assert words.settings["weights"] == build("mobilenet_v1_0.25_64@fashion-mnist").weights.sha256


def test_classifiers_half_way_are_not_in_the_file(small, tmp_path):
    from safetensors import safe_open

    path, data = tmp_path / "w.safetensors", small.sample(20, 0)
    spec = replace(resolve("googlenet"), size=(64, 64))
    train_to_file(Plan(spec, Recipe(epochs=1, batch=10, lr=0.01)), data, data, path)
    with safe_open(path, framework="pt") as file:
        assert not [key for key in file.keys() if key.startswith("aux")]  # noqa: SIM118
    assert build("googlenet", weights=path).classes == 10
