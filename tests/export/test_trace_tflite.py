"""Intermediate values of TFLite files."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from export import trace_tflite
from tests import tiny


@pytest.mark.slow
def test_values_and_weights_come_in_torchs_layout(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.tflite_bytes())
    signature = Interpreter(str(path)).get_signature_list()["serving_default"]
    traced = trace_tflite.read(path, signature["inputs"], signature["outputs"])
    image = tiny.images()[:1]
    conv, linear = (step for step in traced.steps if step.weight is not None)
    assert conv.weight is not None
    assert linear.weight is not None
    kernel = conv.weight.values
    assert np.allclose(kernel.ravel(), tiny.weights()["kernel"].ravel(), atol=1e-6)
    assert np.allclose(linear.weight.values, tiny.weights()["matrix"], atol=1e-6)
    got = traced.run([image], [conv.output, *traced.outputs])
    assert got[conv.output].shape == (1, 4, 6, 6)
    assert conv.fused
    assert np.allclose(got[traced.outputs[0]], tiny.forward(image), atol=1e-5)


def test_what_is_no_tflite_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a TFLite file"):
        trace_tflite.read(path, ["image"], ["logits"])
