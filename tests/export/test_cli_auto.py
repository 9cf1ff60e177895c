"""A network that int8 breaks is told by its accuracy, and mended by the layers that broke it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from export import artifact

NAME = "mobilenet_v1_0.25_64"
WEIGHTS = Path("models/weights") / f"{NAME}@fashion-mnist.safetensors"
BROKEN = ("features.3.1.0", "features.4.0.0")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """The committed MobileNet with one channel 100 times as wide as the others: they lose 7 bits.

    What reads the channels undoes it, so that the float network answers nearly as before.
    """
    with safe_open(WEIGHTS, "pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        metadata = stored.metadata()
    factor = torch.full_like(tensors["features.3.1.1.weight"], 0.01)
    factor[0] = 1
    for part in ("weight", "bias"):
        tensors[f"features.3.1.1.{part}"] *= factor
    tensors["features.4.0.0.weight"] /= factor.reshape(-1, 1, 1, 1)
    path = tmp_path_factory.mktemp("broken") / "broken.safetensors"
    save_file(tensors, path, metadata)
    return path


def export(weights: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["--model", NAME, "--weights", str(weights), "--name", "broken", "--out", str(out)]
    data = ["--data", "fashion-mnist", "--images", "32", "--test-images", "200"]
    more = ["--precision", "int8", *data, "--json", *options]
    return subprocess.run(
        [sys.executable, "-m", "export", *command, *more],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_file_that_loses_too_much_fails_the_export(weights: Path, tmp_path: Path) -> None:
    told = export(weights, tmp_path, "--format", "onnx", "--max-accuracy-drop", "0.5")
    (outcome,) = json.loads(told.stdout)
    assert told.returncode == 1
    assert "at most 0.5 were allowed; try --auto" in outcome["error"] or "proof" in outcome["error"]


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "tflite", "coreml"])
def test_auto_leaves_the_layers_in_float_that_broke_it(
    weights: Path, tmp_path: Path, format: str
) -> None:
    told = export(weights, tmp_path, "--format", format, "--auto", "--max-accuracy-drop", "1")
    assert told.returncode == 0, told.stderr
    manifest = artifact.load(tmp_path / "broken" / f"{format}-int8")
    assert manifest.retained is not None
    assert manifest.retained.drop <= 1
    assert set(manifest.quantization.kept_float) <= set(BROKEN)
    assert manifest.quantization.kept_float
    assert manifest.proof.verified
    assert manifest.computation is not None
    assert not list(tmp_path.glob("broken/*.failed"))


@pytest.mark.slow
def test_a_sound_file_is_left_as_it_is(tmp_path: Path) -> None:
    options = ["--format", "tflite", "--auto", "--max-accuracy-drop", "1"]
    told = export(WEIGHTS, tmp_path, *options)
    assert told.returncode == 0, told.stderr
    manifest = artifact.load(tmp_path / "broken" / "tflite-int8")
    assert manifest.quantization.kept_float == ()
    assert manifest.retained is not None


def test_accuracy_needs_images(tmp_path: Path) -> None:
    command = ["--model", "lenet5", "--format", "onnx", "--auto", "--out", str(tmp_path)]
    told = subprocess.run(
        [sys.executable, "-m", "export", *command], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert "add --data DIR" in told.stderr
