"""Weight-only integers: smaller files that run as fast and compute nearly the same."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export.onnx_graph import constants
from export.onnx_weights import store_weights
from tests.export import onnx_graphs


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)


def stored(bits: int, floats: set[str] = frozenset()) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    torch.manual_seed(0)
    model = onnx_graphs.export(onnx_graphs.Mixed(), 1, 3, 16, 16, opset=21 if bits == 4 else 18)
    made = onnx_graphs.copied(model)
    store_weights(made, bits, floats)
    onnx.checker.check_model(made, full_check=True)
    return model, made


@pytest.mark.parametrize(("bits", "decibels"), [(8, 40), (4, 18)])
def test_the_function_stays_the_same(bits: int, decibels: float, image: np.ndarray) -> None:
    model, made = stored(bits)
    for runtime in (onnx_graphs.run, onnx_graphs.evaluate):
        got = runtime(made, image)
        assert onnx_graphs.psnr(onnx_graphs.run(model, image), got) > decibels


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_are_restored_on_loading_not_in_every_run(bits: int, tmp_path: Path) -> None:
    model, made = stored(bits)
    assert onnx_graphs.what_runs(made, tmp_path) == onnx_graphs.what_runs(model, tmp_path)


def test_four_bits_are_for_weights_with_many_inputs() -> None:
    _, made = stored(4)
    kinds = {name: tensor.data_type for name, tensor in constants(made.graph).items()}
    assert kinds["stem.weight"] == kinds["depthwise.weight"] == onnx.TensorProto.INT8
    assert kinds["right.weight"] == kinds["classifier.weight"] == onnx.TensorProto.INT4


@pytest.mark.parametrize("bits", [8, 4])
def test_a_layer_kept_in_float_stays_as_it_is(bits: int) -> None:
    model, _ = stored(bits)
    [node] = [n for n in model.graph.node if n.input[1:2] == ["right.weight"]]
    _, made = stored(bits, {node.output[0]})
    assert constants(made.graph)["right.weight"].data_type == onnx.TensorProto.FLOAT
    assert constants(made.graph)["left.weight"].data_type != onnx.TensorProto.FLOAT
