"""A runtime that refuses a file is quoted with the operator and the remedy before its words."""

from pathlib import Path
from typing import Any

import onnx as onnx_package
import pytest
from onnx import TensorProto, helper

from devices.refusal import explained
from export.tflite_pack import pack, read
from tests import tiny
from tests.devices.conftest import refused, sign

# Of tflite-runtime 2.14 about a file with weights of 4 bits.
OLD_TFLITE = (
    "/tensorflow/tensorflow/lite/kernels/dequantize.cc:58 op_context.input->type == kTfLiteInt8 || "
    "op_context.input->type == kTfLiteFloat16 was not true.Node number 4 (DEQUANTIZE) failed to "
    "prepare.Failed to apply the default TensorFlow Lite delegate indexed at 0."
)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    return tiny.tiny_onnx(tmp_path)


def change(artifact: Path, **changes: Any) -> None:
    path = artifact / "model.onnx"
    model = onnx_package.load(path)
    for name, value in changes.items():
        if name == "ir_version":
            model.ir_version = value
        elif name == "opset":
            model.opset_import[0].version = value
        else:
            setattr(model.graph.node[0], name, value)
    onnx_package.save(model, path)
    sign(artifact)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ir_version": 99}, "the file is of IR version 99, this runtime reads up to "),
        ({"opset": 99}, "the file is of opset 99, this runtime reads up to "),
        ({"op_type": "Convolve"}, "operator Convolve of opset "),
    ],
)
def test_onnx_runtime_is_too_old_for_a_file(
    onnx_file: Path, changes: dict[str, Any], told: str
) -> None:
    change(onnx_file, **changes)
    error = refused(onnx_file)
    assert error.detail.startswith(told)
    assert "install a newer onnxruntime there" in error.detail
    assert "[ONNXRuntimeError]" in error.detail


def test_an_operator_without_a_kernel_is_named_with_its_layer(onnx_file: Path) -> None:
    double = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, [1, 4]) for n in "xy"]
    node = helper.make_node("Acos", ["x"], ["y"], name="features.0")
    model = helper.make_model(
        helper.make_graph([node], "g", double[:1], double[1:]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    onnx_package.save(model, onnx_file / "model.onnx")
    sign(onnx_file)
    assert refused(onnx_file).detail.startswith("operator Acos ('features.0') has no kernel there")


def test_tflite_is_too_old_for_an_operator(tmp_path: Path) -> None:
    made = tiny.tiny_tflite(tmp_path)
    model = read((made / "model.tflite").read_bytes())
    for code in model.operatorCodes:
        code.version = 99
    (made / "model.tflite").write_bytes(pack(model))
    sign(made)
    detail = refused(made, "litert-builtin").detail
    assert detail.startswith("operator ")
    assert " in version 99 is newer than it: install a newer runtime there" in detail


def test_tflites_node_that_does_not_prepare_is_named() -> None:
    told = explained(OLD_TFLITE)
    assert told.startswith("operator DEQUANTIZE (number 4) does not take these types or shapes")
    assert "export at another precision" in told
    assert told.endswith(f"(it said: {OLD_TFLITE})")


def test_other_words_stay_as_they_are() -> None:
    assert explained("no such file") == "no such file"
