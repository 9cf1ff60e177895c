"""``export inspect``: damaged files in one line, and what a Core ML app gives and gets."""

import shutil
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from export import embed
from export.artifact import MODEL_FILES, ArtifactError, read_manifest
from export.cli_inspect import inspect
from tests.tiny import CLASSES, quiet, tiny_coreml, tiny_onnx, tiny_tflite, torch_module

MAKERS = {"onnx": tiny_onnx, "tflite": tiny_tflite, "coreml": tiny_coreml}
PROTOBUF = Path("Data/com.apple.CoreML/model.mlmodel")
MUTATIONS = 30


@pytest.fixture(params=MAKERS)
def whole(request, tmp_path):
    """A model file with a contract inside."""
    directory = MAKERS[request.param](tmp_path)
    manifest = read_manifest(directory)
    path = directory / MODEL_FILES[manifest.format]
    said = embed.Embedded(network="tiny", precision="fp32", contract=manifest.contract)
    embed.write(path, manifest.format, said)
    return path


def mutated(data, rng):
    """Return the bytes with up to 20 flipped, cut short, or with a random beginning."""
    kind = rng.integers(3)
    if kind == 0:
        return data[: rng.integers(1, len(data))]
    changed = bytearray(data)
    places = rng.integers(len(data), size=rng.integers(1, 20)) if kind == 1 else range(16)
    for place in places:
        changed[place] = rng.integers(256)
    return bytes(changed)


def test_a_damaged_file_is_explained_or_refused_in_one_line(whole, tmp_path):
    rng = np.random.default_rng(0)
    damaged = tmp_path / whole.name
    (shutil.copytree if whole.is_dir() else shutil.copyfile)(whole, damaged)
    target = PROTOBUF if whole.is_dir() else Path()
    refused = 0
    for _ in range(MUTATIONS):
        (damaged / target).write_bytes(mutated((whole / target).read_bytes(), rng))
        for options in ([], ["--why"]):
            error = CliRunner().invoke(inspect, [*options, str(damaged)]).exception
            assert error is None or isinstance(error, ArtifactError | SystemExit), repr(error)
            if isinstance(error, ArtifactError):
                assert len(str(error).splitlines()) == 1
                refused += 1
    assert refused > MUTATIONS / 2


def classifier(path, classes):
    """Save the tiny network as an app's: it takes a picture and answers with a label."""
    with quiet():
        program = torch.export.export(torch_module(), (torch.zeros(1, 1, 8, 8),))
        grey = ct.colorlayout.GRAYSCALE
        ct.convert(
            program.run_decompositions({}),
            inputs=[ct.ImageType(name="image", shape=(1, 1, 8, 8), color_layout=grey)],
            classifier_config=ct.ClassifierConfig(classes),
            minimum_deployment_target=ct.target.iOS17,
            skip_model_load=True,
        ).save(str(path))


@pytest.mark.parametrize(
    ("classes", "kind"),
    [([f"class {number}" for number in range(CLASSES)], "string"), (list(range(CLASSES)), "int64")],
    ids=["names", "numbers"],
)
def test_a_core_ml_classifier_of_pictures_shows_both(tmp_path, classes, kind):
    path = tmp_path / "app.mlpackage"
    classifier(path, classes)
    shown = CliRunner().invoke(inspect, [str(path)], catch_exceptions=False).output
    (picture,) = [line.split(maxsplit=2) for line in shown.splitlines() if line[:5] == "input"]
    assert picture[1:] == ["image", "image, greyscale 8x8"]
    outputs = [line.split() for line in shown.splitlines() if line[:6] == "output"]
    assert ["output", "classLabel", kind] in outputs
    assert ["output", "classLabel_probs", "1x10", "NC", "float32"] in outputs
    assert 'x = image.convert("L")' in shown
    assert "np." not in shown
