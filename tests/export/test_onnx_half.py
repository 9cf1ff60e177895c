"""Float16, and what it cannot hold."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from export.onnx_graph import constants
from export.onnx_half import float_nodes, halve
from tests.export import onnx_graphs


class Normalised(torch.nn.Module):
    """AlexNet's beginning: a convolution, ReLU, local response normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 16, 3)
        self.normal = torch.nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)
        self.after = torch.nn.Conv2d(16, 4, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        normal = self.normal(torch.relu(self.layer(image)))
        return torch.softmax(self.after(normal).mean((2, 3)), 1)


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(1, 3, 16, 16))
    return (600 * noise).astype(np.float32)


def in_half(model: onnx.ModelProto, floats: set[str]) -> onnx.ModelProto:
    made = onnx_graphs.copied(model)
    halve(made, floats)
    onnx.checker.check_model(made, full_check=True)
    return made


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_local_response_norm_of_large_inputs_does_not_overflow(large) -> None:
    model = onnx_graphs.export(Normalised(), 1, 3, 16, 16)
    right = onnx_graphs.evaluate(model, large)
    kept = in_half(model, float_nodes(model))
    for runtime in (onnx_graphs.run, onnx_graphs.evaluate):
        np.testing.assert_allclose(runtime(kept, large), right, atol=5e-3)
    # The proof that the inputs are large enough to tell.
    lost = onnx_graphs.evaluate(in_half(model, set()), large)
    assert np.abs(lost - right).max() > 0.05


def test_the_rest_is_in_half_precision() -> None:
    model = onnx_graphs.export(onnx_graphs.Mixed(), 1, 3, 16, 16)
    assert float_nodes(model) == set()
    made = in_half(model, set())
    assert made.ByteSize() < 0.56 * model.ByteSize()
    assert [n.op_type for n in made.graph.node].count("Cast") == 2
    image = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    right = onnx_graphs.run(model, image)
    assert onnx_graphs.psnr(right, onnx_graphs.run(made, image)) > 50


def test_a_weight_beyond_half_precision_is_not_clamped() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 2, 1))
    with torch.no_grad():
        network[0].weight *= 1e6
        network[1].weight *= 1e-6
    model = onnx_graphs.export(network, 1, 3, 4, 4)
    made = in_half(model, float_nodes(model))
    stored = constants(made.graph)["0.weight"]
    assert np.array_equal(numpy_helper.to_array(stored), network[0].weight.detach().numpy())
    assert constants(made.graph)["1.weight"].data_type == onnx.TensorProto.FLOAT16
