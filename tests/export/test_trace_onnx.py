"""Intermediate values of ONNX files."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession

from export import trace_onnx
from export.trace import HALF
from tests.export import weak


def test_values_are_those_of_the_float_network(tmp_path: Path) -> None:
    module = weak.network()
    traced = trace_onnx.read(weak.write_onnx(module, tmp_path / "a.onnx"), ["image"], ["logits"])
    image = weak.images()[:1]
    got = traced.run([image], [step.output for step in traced.steps])
    value = weak.tensor(image)
    for layer, step in zip(module, traced.steps, strict=True):
        value = layer(value)
        assert np.allclose(got[step.output], value.numpy(), atol=1e-5), step.kind


def test_quantized_values_and_weights_are_restored(tmp_path: Path) -> None:
    module = weak.network()
    path = weak.int8(module, tmp_path, calibrated_on=weak.images())
    traced = trace_onnx.read(path, ["image"], ["logits"])
    image = weak.images()[:1]
    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (whole,) = session.run(None, {"image": image})
    step = 2 * max(g.step for g in traced.grids.values())
    assert np.allclose(traced.run([image], ["logits"])["logits"], whole, atol=step)
    first = next(s for s in traced.steps if s.weight is not None)
    assert first.weight is not None
    assert first.weight.scales is not None
    assert first.weight.scales.shape == (8,)
    rounded = np.abs(first.weight.values - module[0].weight.numpy())
    assert rounded.max() <= first.weight.scales.max() * 0.501


def test_half_precision_has_the_limits_of_half_precision(tmp_path: Path) -> None:
    traced = trace_onnx.read(weak.half(weak.network(), tmp_path), ["image"], ["logits"])
    assert HALF in traced.grids.values()
    assert "logits" not in traced.grids


@pytest.mark.parametrize("content", [b"", b"nonsense"], ids=["empty", "nonsense"])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"not an ONNX file|no operators"):
        trace_onnx.read(path, ["image"], ["logits"])


def test_a_file_that_the_runtime_cannot_run_is_refused(tmp_path: Path) -> None:
    path = weak.write_onnx(weak.network(), tmp_path / "a.onnx")
    model = onnx.load(str(path))
    model.graph.node[0].op_type = "Unheard"
    onnx.save(model, str(path))
    with pytest.raises(ValueError, match="cannot run it"):
        trace_onnx.read(path, ["image"], ["logits"])
