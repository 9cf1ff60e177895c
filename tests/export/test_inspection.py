"""Exported files read back: their operators, what was fused, and what was not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from export.artifact import ArtifactError, read_manifest
from export.inspection import findings, inspect

ROOT = Path(__file__).resolve().parents[2]
MOBILENET = "mobilenet_v1_0.25_64@fashion-mnist"


def operators(directory):
    return inspect(directory, read_manifest(directory))


def kinds(directory):
    found = {}
    for operator in operators(directory):
        found[operator.kind] = found.get(operator.kind, 0) + 1
    return found


@pytest.fixture
def mobilenet(trained):
    return trained / MOBILENET


def test_tflite_fuses_activations_into_its_convolutions(mobilenet):
    found = kinds(mobilenet / "tflite-fp32")
    # On one channel the first convolution is a depthwise one to TFLite.
    assert (found["CONV_2D"], found["DEPTHWISE_CONV_2D"], found["FULLY_CONNECTED"]) == (13, 14, 1)
    words = findings(operators(mobilenet / "tflite-fp32"), "tflite")
    assert "batch norm: none left to compute" in words
    assert "activations: 27 fused in the file, 0 as operators of their own" in words


def test_int8_tflite_converts_at_its_interface_only(mobilenet):
    found = operators(mobilenet / "tflite-int8")
    conversions = [o for o in found if o.kind in {"QUANTIZE", "DEQUANTIZE"}]
    assert [o.place for o in conversions] == ["interface", "interface"]
    assert {o.dtype for o in found if o.kind == "CONV_2D"} == {"int8"}
    assert any("2 at the interface, 0 of weights, 0 inside" in w for w in findings(found, "tflite"))


def test_fp16_tflite_unpacks_its_weights_and_they_count_with_their_user(mobilenet):
    found = operators(mobilenet / "tflite-fp16")
    assert {o.place for o in found if o.kind == "DEQUANTIZE"} == {"weights"}
    linear = next(o for o in found if o.kind == "FULLY_CONNECTED")
    weights, biases = 256 * 10, 10
    assert linear.weight_bytes == 2 * weights + 4 * biases


@pytest.mark.parametrize("variant", ["onnx-fp32", "tflite-fp32", "coreml-fp32"])
def test_float_files_hold_every_weight_once(mobilenet, variant):
    """Batch norm is folded: each channel keeps one value more than the convolution's weights."""
    manifest = read_manifest(mobilenet / variant)
    convolutions = ("conv", "linear", "gemm", "fully")
    size = sum(
        o.weight_bytes
        for o in operators(mobilenet / variant)
        if any(word in o.kind.lower() for word in convolutions)
    )
    parameters = manifest.network.parameters
    assert size == pytest.approx(4 * parameters, rel=0.03)
    assert size < 4 * parameters


def test_onnx_and_coreml_say_what_they_have(mobilenet):
    assert kinds(mobilenet / "onnx-fp32")["Conv"] == 27
    assert "BatchNormalization" not in kinds(mobilenet / "onnx-fp32")
    half = operators(mobilenet / "coreml-fp16")
    assert [o.place for o in half if o.kind == "cast"] == ["interface", "interface"]
    assert {o.dtype for o in half if o.kind == "conv"} == {"float16"}
    paired = findings(operators(mobilenet / "onnx-int8"), "onnx")
    assert any("QDQ pairs" in words for words in paired)


def test_output_shapes_agree_with_the_contract(trained):
    for directory in sorted(trained.glob(f"{MOBILENET}/[ct]*")):
        manifest = read_manifest(directory)
        if manifest.format != "torch":
            assert operators(directory)[-1].output_shape == manifest.contract.outputs[0].shape


def test_a_core_ml_file_is_read_without_torch(mobilenet):
    code = (
        "import sys; from pathlib import Path; from export.inspect_coreml import read\n"
        f"read(Path({str(mobilenet / 'coreml-fp32' / 'model.mlpackage')!r}))\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout == "False\n", result.stderr


@pytest.mark.parametrize(
    ("variant", "file"),
    [
        ("onnx-fp32", "model.onnx"),
        ("tflite-fp32", "model.tflite"),
        ("coreml-fp32", "model.mlpackage/Data/com.apple.CoreML/model.mlmodel"),
    ],
)
@pytest.mark.parametrize("contents", [b"", b"not a model at all, whatever its name says"])
def test_a_damaged_file_is_refused(mobilenet, tmp_path, variant, file, contents):
    manifest = read_manifest(mobilenet / variant)
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    with pytest.raises(ArtifactError, match=r"cannot read .*export it again"):
        inspect(tmp_path, manifest)


def test_show_lists_operators_counts_and_findings(cli, mobilenet):
    result = cli("models", "show", mobilenet / "tflite-int8")
    assert result.returncode == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "DEPTHWISE_CONV_2D     14" in result.stdout
    assert "padding: " in result.stdout
    data = json.loads(cli("models", "show", mobilenet / "tflite-int8", "--json").stdout)
    assert data["artifact"] == f"{MOBILENET}/tflite-int8"
    assert data["operators"][0]["kind"] == "QUANTIZE"


def test_show_analyses_the_torch_reference_as_a_network(cli, mobilenet):
    result = cli("models", "show", mobilenet / "torch-fp32", "--json")
    data = json.loads(result.stdout)
    assert data["parameters"] == 215_498
    assert data["macs"] == 3_183_616
