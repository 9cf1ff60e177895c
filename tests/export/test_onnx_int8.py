"""Static int8: what runs in integers, and whether it is still the same function."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export.onnx_graph import constants
from export.onnx_int8 import Writer, plan
from export.onnx_ranges import observe
from export.ranges import METHODS, Method, Ranges
from tests.export import onnx_graphs


@pytest.fixture(scope="module")
def mixed() -> onnx.ModelProto:
    torch.manual_seed(0)
    return onnx_graphs.export(onnx_graphs.Mixed(), 1, 3, 16, 16, opset=19)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(1, 3, 16, 16)).astype(np.float32) for _ in range(16)]


def quantize(
    model: onnx.ModelProto, images: list, method: Method = "min-max", floats: set[str] = frozenset()
) -> onnx.ModelProto:
    made = onnx_graphs.copied(model)
    wanted, ranges = plan(made, floats), Ranges(method, 99.9)
    observe(model, sorted(wanted.tensors), [{"image": i} for i in images], ranges)
    Writer(made, wanted, ranges).write()
    onnx.checker.check_model(made, full_check=True)
    return made


def test_everything_that_has_an_integer_kernel_runs_in_it(mixed, images, tmp_path: Path) -> None:
    running = onnx_graphs.what_runs(quantize(mixed, images), tmp_path)
    assert running["QLinearConv"] == 5
    assert running["QGemm"] == running["QLinearAdd"] == running["QLinearMul"] == 1
    assert running["QLinearConcat"] == running["QLinearSigmoid"] == 1
    assert running["QLinearGlobalAveragePool"] == 2
    assert running["QuantizeLinear"] == 1
    assert not {"Conv", "FusedConv", "Gemm", "DequantizeLinear", "Relu", "Clip"} & set(running)


@pytest.mark.parametrize("method", METHODS)
def test_the_function_stays_the_same_by_every_method(mixed, images, method: Method) -> None:
    made = quantize(mixed, images, method)
    right = np.concatenate([onnx_graphs.run(mixed, i) for i in images])
    for runtime in (onnx_graphs.run, onnx_graphs.evaluate):
        got = np.concatenate([runtime(made, i) for i in images])
        assert onnx_graphs.psnr(right, got) > 25


def test_min_max_ranges_are_the_extremes_of_each_tensor(mixed, images) -> None:
    made = quantize(mixed, images)
    known = {n: onnx.numpy_helper.to_array(t) for n, t in constants(made.graph).items()}
    [first] = [n for n in made.graph.node if n.input[0] == "image"]
    low, high = np.min(images), np.max(images)
    assert known[first.input[1]] == pytest.approx((high - low) / 255)
    assert int(known[first.input[2]]) == round(-low / known[first.input[1]].item())


def test_a_layer_kept_in_float_keeps_its_weights_and_its_activation(mixed, images) -> None:
    [left] = [n for n in mixed.graph.node if n.input[1:2] == ["left.weight"]]
    made = quantize(mixed, images, floats={left.output[0]})
    kinds = {name: tensor.data_type for name, tensor in constants(made.graph).items()}
    assert kinds["left.weight"] == onnx.TensorProto.FLOAT
    assert kinds["right.weight"] == onnx.TensorProto.INT8
    assert [n.op_type for n in made.graph.node].count("Relu") == 1


def test_biases_are_at_the_scale_of_the_products(mixed, images) -> None:
    made = quantize(mixed, images)
    known = {n: onnx.numpy_helper.to_array(t) for n, t in constants(made.graph).items()}
    makers = {n.output[0]: n for n in made.graph.node}
    for node in [n for n in made.graph.node if n.op_type in {"Conv", "Gemm"}]:
        scales = [known[makers[name].input[1]] for name in node.input]
        assert np.array_equal(scales[2], scales[0] * scales[1])
        assert known[makers[node.input[2]].input[0]].dtype == np.int32


def test_a_layer_that_runs_twice_has_one_weight_and_a_bias_for_each_time() -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 3, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.layer(100 * torch.sigmoid(self.layer(image)))
            return out

    model = onnx_graphs.export(Twice(), 1, 3, 4, 4, opset=19)
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)
    made = quantize(model, [image])
    assert onnx_graphs.psnr(onnx_graphs.run(model, image), onnx_graphs.run(made, image)) > 30
    stored = [t.data_type for t in made.graph.initializer]
    assert stored.count(onnx.TensorProto.INT8) == 1
    assert stored.count(onnx.TensorProto.INT32) == 2


def test_softmax_and_what_follows_it_stay_float(tmp_path: Path) -> None:
    class Attention(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 8, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            x = self.layer(image)
            return x * torch.softmax(x, 1)

    model = onnx_graphs.export(Attention(), 1, 3, 4, 4, opset=19)
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)
    running = onnx_graphs.what_runs(quantize(model, [image]), tmp_path)
    assert running["QLinearConv"] == running["Softmax"] == running["Mul"] == 1
