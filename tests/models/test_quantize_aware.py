"""Fake quantization: int8's own arithmetic where it should be, and the network's own parameters."""

import pytest
import torch
from torch import nn

from models.checkpoint import build, create
from models.family import ModelError
from models.quantize_aware import FakeQuantize, FoldedLayer, prepare
from models.registry import resolve


def test_a_tensor_is_rounded_to_256_levels_and_zero_is_one_of_them():
    x = torch.linspace(-1, 3, 10_000).reshape(1, -1)
    rounding = FakeQuantize().train()
    y = rounding(x)
    assert len(y.unique()) == 256
    assert 0 in y
    assert (y - x).abs().max() <= 1.01 * 4 / 255


def test_a_range_always_holds_zero():
    rounding = FakeQuantize().train()
    rounding(torch.linspace(2, 3, 100).reshape(1, -1))
    assert (rounding.low, rounding.high) == (0, 3)


def test_the_range_follows_the_batches_in_training_and_stays_in_evaluation():
    rounding = FakeQuantize().train()
    rounding(torch.tensor([[-1.0, 0.5], [-0.5, 1.0]]))
    assert (rounding.low, rounding.high) == (-1, 1)
    rounding(torch.tensor([[-1.0, 2.0]]))
    assert rounding.high == pytest.approx(1.01)
    rounding.eval()(torch.tensor([[-9.0, 9.0]]))
    assert rounding.high == pytest.approx(1.01)


def test_gradients_pass_inside_the_range_only():
    rounding = FakeQuantize().train()
    rounding(torch.tensor([[0.0, 1.0]]))
    x = torch.tensor([[0.5, 2.0]], requires_grad=True)
    rounding.eval()(x).sum().backward()
    assert x.grad.tolist() == [[1, 0]]


def test_weights_have_at_most_255_levels_a_channel_symmetric_about_zero():
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 2, 5, bias=False)
    layer.weight.data[1] *= 100
    one_pixel = FoldedLayer(layer, None)
    weight = one_pixel(torch.eye(64 * 25).reshape(-1, 64, 5, 5)).squeeze().T
    for channel, own in zip(weight, layer.weight, strict=True):
        step = own.abs().max() / 127
        levels = channel / step
        assert torch.allclose(levels, levels.round(), atol=1e-3)
        assert levels.detach().abs().max() == pytest.approx(127)
        assert (channel - own.flatten()).abs().max() <= step / 2 * 1.001


def test_batch_norm_is_folded_as_it_would_run():
    torch.manual_seed(0)
    layer, norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.data.uniform_(0.5, 2)
    x = torch.randn(2, 3, 8, 8)
    whole = norm.eval()(layer(x))
    error = FoldedLayer(layer, norm)(x) - whole
    assert 0 < error.abs().max() < 0.02 * whole.abs().max()


@pytest.mark.parametrize(
    ("name", "rounded"),
    [
        ("lenet5", 1 + 2 * 3 + 2 * 2 + 1),  # input; conv, sigmoid, pool; linear, sigmoid; linear
        ("mobilenet_v1_0.25_32", 1 + 27 + 1 + 1),  # input; convs with ReLU6; pool; linear
        ("resnet18", 1 + 1 + 8 * 3 + 3 + 1 + 1),  # input; stem; two convs, a sum; projections; ...
    ],
)
def test_what_a_runtime_fuses_is_rounded_once(name, rounded):
    spec = resolve(name)
    network = create(spec)
    prepared = prepare(network, (1, spec.channels, *spec.size))
    found = [m for m in prepared.modules() if isinstance(m, FakeQuantize)]
    assert len(found) == rounded
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    folded = [m for m in prepared.modules() if isinstance(m, FoldedLayer)]
    assert {id(m.layer) for m in folded} == {id(m) for m in layers}
    assert not [m for m in prepared.children() if isinstance(m, nn.BatchNorm2d)]


def test_the_parameters_are_the_networks_own_and_its_names_stay():
    network = create(resolve("mobilenet_v1_0.25_32"))
    names = list(network.state_dict())
    prepared = prepare(network, (2, 3, 32, 32))
    assert {id(p) for p in prepared.parameters()} == {id(p) for p in network.parameters()}
    assert list(network.state_dict()) == names


def test_rounding_changes_a_trained_networks_answers_a_little(sample):
    from models.accuracy import evaluate
    from models.data import open_dataset

    built = build("mobilenet_v1_0.25_64@fashion-mnist")
    data = open_dataset(str(sample), "train").sample(128, 0)
    prepared = prepare(built.module, (2, 1, 64, 64)).train()
    (x, _), *_ = data.batches(built.preprocessing, 128)
    images = torch.from_numpy(x)
    with torch.no_grad():
        prepared(images)
        rounded, exact = prepared.eval()(images), built.module.eval()(images)
    noise = (rounded - exact).square().mean() / exact.square().mean()
    assert 1e-6 < noise < 0.1
    assert evaluate(prepared, data, built.preprocessing).top1 > 0.85


def test_a_network_that_cannot_be_traced_is_refused_in_one_line():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match=r"^this network cannot be trained quantization-aware: "):
        prepare(Branching(), (1, 3))
