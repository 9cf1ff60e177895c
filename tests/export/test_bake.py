"""What is baked into a program: the same function, from pixels, to probabilities."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from export import artifact, bake, capture, original, program
from export.artifact import Baked
from export.fold import fold
from export.precision import ExportError, Variant, plan, to_bake
from models.preprocess import Preprocessing
from tests.conftest import Cli
from tests.tiny import quiet

COLOUR = Preprocessing(channels=3, size=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))
BOTH = Baked(preprocessing=COLOUR, softmax=True)
NET = "mobilenet_v1_0.25_64@fashion-mnist"
BAKED = "-preprocess-softmax"
FILES = [
    f"{name}-{precision}" for name in ("onnx", "tflite", "coreml") for precision in ("fp32", "int8")
]


def network(*last: nn.Module) -> nn.Module:
    """Its first convolution pads, so that zero has to stay the mean there."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    nn.init.uniform_(norm.running_mean)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), norm, nn.ReLU(), nn.Flatten(), nn.Linear(256, 5), *last
    ).eval()


def captured(module: nn.Module, *shapes: tuple[int, ...]) -> torch.export.ExportedProgram:
    return capture.capture(module, shapes or [(1, 3, 8, 8)])


def prepared(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (COLOUR.mean, COLOUR.std))
    return (images / 255 - mean) / std


class Joined(nn.Module):
    """Two inputs, and as many outputs as are asked for."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (a + b,) * self.outputs


@pytest.mark.parametrize("batch", [1, 3])
def test_pixels_in_and_probabilities_out_are_the_same_function(tmp_path: Path, batch: int) -> None:
    module, made = network(), captured(network())
    bake.bake(made, BOTH)
    capture.save(made, tmp_path / "a.pt2")
    images = 255 * torch.rand(batch, 3, 8, 8)
    again = program.load(tmp_path / "a.pt2")
    again.validate()
    torch.testing.assert_close(again.module()(images), module(prepared(images)).softmax(1))


def test_batch_norms_are_folded_and_layers_keep_their_names() -> None:
    plain, made = captured(network()), captured(network())
    bake.bake(made, BOTH)
    images = 255 * torch.rand(2, 3, 8, 8)
    expected = made.module()(images)
    fold(made)
    made.validate()
    torch.testing.assert_close(made.module()(images), expected)
    assert not any("batch_norm" in str(node.target) for node in made.graph.nodes)
    assert program.weighted_layers(made) == program.weighted_layers(plain)


def test_either_alone_leaves_the_other_side_as_it_was() -> None:
    module, images = network(), 255 * torch.rand(2, 3, 8, 8)
    first, last = captured(network()), captured(network())
    bake.bake(first, Baked(preprocessing=COLOUR))
    bake.bake(last, Baked(softmax=True))
    torch.testing.assert_close(first.module()(images), module(prepared(images)))
    torch.testing.assert_close(last.module()(images), module(images).softmax(1))


def test_an_input_that_two_layers_read_reaches_both_of_them_prepared() -> None:
    class Residual(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu() + x

    made, images = captured(Residual()), 255 * torch.rand(2, 3, 8, 8)
    bake.bake(made, Baked(preprocessing=COLOUR))
    torch.testing.assert_close(made.module()(images), Residual()(prepared(images)))


def test_prepared_images_become_pixels_again_and_no_others() -> None:
    images = np.random.default_rng(0).uniform(0, 255, (2, 3, 8, 8)).astype(np.float32)
    there = prepared(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(bake.pixels(there, COLOUR), images, atol=1e-3)
    far = bake.pixels(100 * there, COLOUR)
    assert (far.min(), far.max(), far.dtype) == (0, 255, np.float32)
    assert bake.pixels(there, None) is there


@pytest.mark.parametrize(
    ("made", "words", "preprocessing", "meaning", "said"),
    [
        (network(), ["preprocess"], None, "logits", "give --mean and --std"),
        (network(), ["softmax"], COLOUR, "probabilities", "probabilities already"),
        (network(nn.Softmax(1)), ["softmax"], COLOUR, "logits", "probabilities already"),
        (network(), ["softmax"], COLOUR, "maps", "gives feature maps"),
        (network(), ["softmax"], COLOUR, None, "gives another output"),
        (Joined(1), ["preprocess"], COLOUR, None, "has 2 inputs"),
        (Joined(2), ["softmax"], None, None, "gives 2 outputs"),
    ],
)
def test_what_cannot_be_baked_is_refused(made, words, preprocessing, meaning, said) -> None:
    shapes = [(1, 3, 8, 8)] * (2 if isinstance(made, Joined) else 1)
    with pytest.raises(ExportError, match=said):
        bake.choose(captured(made, *shapes), tuple(words), preprocessing, meaning)


def test_the_words_are_checked_and_put_in_order() -> None:
    assert to_bake([]) == ()
    assert to_bake(["softmax", "preprocess", "softmax"]) == ("preprocess", "softmax")
    with pytest.raises(ExportError, match=r"no step to bake 'sofmax'; did you mean 'softmax'\?"):
        to_bake(["sofmax"])


def test_files_with_other_things_in_them_do_not_overwrite_each_other() -> None:
    def named(*baked: str) -> str:
        [variant] = plan(["onnx"], ["int8"], baked=baked)
        assert isinstance(variant, Variant)
        return variant.name

    names = [named(), named("preprocess"), named("softmax"), named("preprocess", "softmax")]
    assert names[0] == "onnx-int8"
    assert len(set(names)) == 4


def test_two_ways_of_normalising_inside_a_core_ml_file_exclude_each_other(cli: Cli) -> None:
    result = cli(
        *("export", "--model", "lenet5", "--format", "coreml"),
        *("--bake", "preprocess", "--coreml-input", "image"),
    )
    assert result.returncode == 2
    assert "choose one" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def export(cli: Cli, sample: Path, tmp_path_factory: pytest.TempPathFactory):
    def _export(*options: str) -> Path:
        out = tmp_path_factory.mktemp("baked")
        result = cli("export", "--model", NET, *options, "--data", sample, "--out", out)
        assert result.returncode == 0, result.stdout + result.stderr
        return out / NET

    return _export


@pytest.fixture(scope="module")
def exported(export) -> Path:
    return export("--precision", "fp32,int8", "--bake", "preprocess,softmax")


@pytest.fixture(scope="module")
def normalising(export) -> Path:
    return export("--precision", "int8", "--bake", "preprocess")


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_every_format_takes_pixels_and_gives_probabilities(exported: Path, file: str) -> None:
    manifest = artifact.load(exported / (file + BAKED))
    [image], [output] = manifest.contract.inputs, manifest.contract.outputs
    golden = np.load(exported / (file + BAKED) / "golden.npz")
    assert manifest.proof.verified is True
    baked = manifest.network.baked
    assert baked
    assert baked.preprocessing
    assert manifest.contract.preprocessing == bake.of_pixels(baked.preprocessing)
    assert golden[f"in.{image.name}"].max() > 250
    np.testing.assert_allclose(golden[f"out.{output.name}"].sum(1), 1, rtol=1e-5)
    assert output.name == "probabilities"
    assert "softmax is in the file" in manifest.contract.postprocessing


@pytest.mark.slow
def test_integers_at_both_ends_are_the_pixels_and_a_fraction_of_256(export) -> None:
    """Images from 0 to 255 give an application's uint8 less 128; the end is TFLite's own rule."""
    made = export("--precision", "int8", "--bake", "preprocess,softmax", "--io", "int8")
    ends = artifact.load(made / f"tflite-int8-io-int8{BAKED}").contract
    kinds = [(t.dtype, t.scale, t.zero_point) for t in (*ends.inputs, *ends.outputs)]
    assert kinds == [("int8", 1.0, -128), ("int8", 1 / 256, -128)]
    for other in ("onnx", "coreml"):
        others = artifact.load(made / f"{other}-int8{BAKED}").contract
        assert {t.dtype for t in (*others.inputs, *others.outputs)} == {"float32"}


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "tflite", "coreml"])
def test_integers_lose_nothing_by_a_range_of_pixels(
    normalising: Path, trained: Path, format: str
) -> None:
    plain = artifact.load(trained / NET / f"{format}-int8")
    baked = artifact.load(normalising / f"{format}-int8-preprocess")
    assert baked.proof.outputs[0].psnr_db > plain.proof.outputs[0].psnr_db - 2
    assert baked.contract.outputs == plain.contract.outputs
    assert baked.size_bytes < plain.size_bytes + 2_000


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "tflite", "coreml"])
def test_diagnose_finds_the_original_and_bakes_it_likewise(
    exported: Path, cli: Cli, format: str
) -> None:
    result = cli("export", "diagnose", exported / f"{format}-int8{BAKED}", "--json")
    assert result.returncode == 0, result.stderr
    layers = [layer["layer"] for layer in json.loads(result.stdout)["layers"]]
    assert "features.0.0" in layers
    assert any(name.startswith("preprocess") for name in layers)


@pytest.mark.slow
def test_a_plain_program_beside_is_baked_first(exported: Path, trained: Path) -> None:
    baked = exported / f"onnx-fp32{BAKED}"
    beside = exported / "torch-fp32"
    beside.symlink_to(trained / NET / "torch-fp32")
    with quiet():
        assert original.find(baked, artifact.load(baked)).origin == str(beside)


@pytest.mark.slow
def test_a_core_ml_file_takes_a_picture_and_answers_with_a_baked_probability(
    cli: Cli, tmp_path: Path
) -> None:
    result = cli(
        *("export", "--model", "lenet5@fashion-mnist", "--format", "coreml", "--out", tmp_path),
        *("--bake", "softmax", "--coreml-input", "image", "--coreml-output", "classes"),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    made = artifact.load(tmp_path / "lenet5@fashion-mnist" / "coreml-fp32-softmax")
    assert made.proof.verified is True
    assert made.contract.outputs[0].name == "classLabel_probs"
