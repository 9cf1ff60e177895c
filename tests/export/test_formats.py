"""One suite over the registry of formats: the committed networks, in every file there can be."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from export import artifact
from export.artifact import Manifest
from export.precision import plan

NETWORKS = ("lenet5@fashion-mnist", "mobilenet_v1_0.25_64@fashion-mnist")
VARIANTS = [v.name for v in plan(["all"], ["all"])] + ["torch-fp32"]


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def read(trained: Path, network: str):
    def _read(variant: str) -> Manifest:
        return artifact.load(trained / network / variant)

    return _read


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_file_is_proved(read, variant: str) -> None:
    proof = read(variant).proof
    assert proof.verified is True
    assert proof.emulated is variant.startswith("coreml")
    assert proof.outputs[0].inputs >= 8
    assert proof.outputs[0].cosine is not None


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_manifest_says_where_the_weights_and_the_ranges_come_from(read, variant: str) -> None:
    manifest = read(variant)
    assert manifest.network.weights.origin == "trained"
    assert manifest.network.weights.dataset == "fashion-mnist"
    assert manifest.contract.classes is not None
    assert manifest.contract.preprocessing is not None
    calibration = manifest.quantization.calibration
    assert (calibration is not None) == (manifest.quantization.activations == "int8")
    if calibration:
        assert calibration.images == 128
        assert calibration.source.endswith("(train)")


@pytest.mark.parametrize("format", ["onnx", "tflite"])
def test_images_lie_as_the_format_s_clients_expect(read, trained, network, format: str) -> None:
    manifest = read(f"{format}-fp32")
    [image] = manifest.contract.inputs
    assert image.layout == ("NHWC" if format == "tflite" else "NCHW")
    golden = np.load(trained / network / f"{format}-fp32" / "golden.npz")
    assert golden[f"in.{image.name}"].shape[1:] == image.shape[1:]
    assert image.name == "image"
    assert manifest.contract.outputs[0].name == "logits"


@pytest.mark.parametrize(
    ("variant", "share"),
    [("fp16", 0.6), ("int8", 0.45)],
)
@pytest.mark.parametrize("format", ["onnx", "tflite", "coreml"])
def test_fewer_bits_make_a_smaller_file(read, format: str, variant: str, share: float) -> None:
    # Graphs of a few dozen operators keep a fixed part, so the share is above the bits' own.
    small, whole = read(f"{format}-{variant}").size_bytes, read(f"{format}-fp32").size_bytes
    assert small < share * whole + 25_000


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_has_its_batch_norm_folded_and_carries_no_path(
    trained: Path, network: str, precision: str
) -> None:
    path = trained / network / f"onnx-{precision}" / "model.onnx"
    kinds = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert "BatchNormalization" not in kinds
    assert ("QuantizeLinear" in kinds) == (precision == "int8")
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()


@pytest.mark.parametrize("format", ["onnx", "tflite"])
def test_int8_ranges_hold_the_extremes_of_the_calibration_images(read, format: str) -> None:
    # A moving average over the images, a converter's default, clips them: 26 and 29 dB.
    [output] = read(f"{format}-int8").proof.outputs
    assert output.psnr_db > 35


def test_onnx_int8_weights_are_per_channel(trained: Path, network: str) -> None:
    model = onnx.load(str(trained / network / "onnx-int8" / "model.onnx"))
    scales = [i for i in model.graph.initializer if i.name.endswith("weight_scale")]
    assert scales
    assert any(list(s.dims) and s.dims[0] > 1 for s in scales)


def test_the_recipe_is_kept_as_data(trained: Path, network: str) -> None:
    path = trained / network / "tflite-int8" / "manifest.json"
    recipe = json.loads(path.read_text())["quantization"]["recipe"]["ai-edge-quantizer"]
    assert recipe[0]["op_config"]["weight_tensor_config"]["granularity"] == "CHANNELWISE"


def test_the_project_s_own_gate_passes_for_these_files(trained: Path, cli) -> None:
    root = Path(__file__).parents[2]
    result = cli("bench", "check", "--only", "size,contract", "--artifacts-dir", trained, cwd=root)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "pass" in result.stdout
