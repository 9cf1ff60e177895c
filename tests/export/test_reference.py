"""The float network layer by layer."""

import numpy as np
import pytest
import torch
from torch import nn

from export.reference import Reference, array
from tests.export import weak
from tests.tiny import quiet


class Shapes(nn.Module):
    """What nets are made of: batch norm, shortcut, concatenation, gate, scale, in-place work."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.inside = nn.Conv2d(4, 4, 3, padding=1)
        self.shared = nn.Conv2d(4, 4, 1)
        self.gate = nn.Hardswish(inplace=True)
        self.scale = nn.Parameter(torch.full((4,), 0.1))
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return three numbers an image."""
        x = nn.functional.relu6(self.norm(self.stem(x)), inplace=True)
        y = torch.relu_(self.inside(x) + x)
        z = self.scale.view(1, -1, 1, 1) * self.gate(self.shared(self.shared(y)))
        pooled = nn.functional.adaptive_avg_pool2d(torch.cat([y, z], 1), 1)
        return self.head(nn.functional.dropout(pooled.flatten(1), training=self.training))


@pytest.fixture(scope="module")
def network() -> Shapes:
    torch.manual_seed(0)
    made = Shapes().eval().requires_grad_(False)
    made.norm.running_mean.normal_()  # type: ignore[union-attr,operator]
    made.norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr,operator]
    made.norm.weight.normal_()
    return made


@pytest.fixture(scope="module")
def reference(network: Shapes) -> Reference:
    return weak.reference(network)


def test_layers_are_what_formats_keep(reference: Reference) -> None:
    assert [(layer.name, layer.kind, layer.bounds) for layer in reference.layers] == [
        ("x", "input", None),
        ("stem", "conv", (0.0, 6.0)),
        ("inside", "conv", None),
        ("add", "add", (0.0, np.inf)),
        ("shared", "conv", None),
        ("shared#2", "conv", None),
        ("gate", "hardswish", None),
        ("mul", "mul", None),
        ("cat", "cat", None),
        ("adaptive_avg_pool2d", "adaptive_avg_pool2d", None),
        ("head", "linear", None),
    ]


def test_layers_know_what_feeds_them(reference: Reference) -> None:
    feeds = {layer.name: set(layer.feeds) for layer in reference.layers}
    assert feeds["stem"] == {"x"}
    assert feeds["add"] == {"stem", "inside"}
    assert feeds["cat"] == {"stem", "inside", "shared#2"}
    assert feeds["head"] == feeds["cat"]


def test_every_layer_alone_gives_what_it_gives_in_the_network(
    network: Shapes, reference: Reference
) -> None:
    image = weak.images()[:1]
    values = reference.run([image])
    for layer in reference.layers:
        operands = [array(values, node) for node in layer.operands]
        alone = reference.apply(layer, operands, layer.weight)
        assert np.allclose(alone, array(values, layer.end), atol=1e-5), layer.name
    with quiet():
        whole = network(torch.from_numpy(image)).numpy()
    assert np.allclose(array(values, reference.outputs[0]), whole, atol=1e-6)


def test_the_folded_weight_computes_the_batch_norm_too(reference: Reference) -> None:
    stem = reference.layers[1]
    image = weak.images()[:1]
    expected = array(reference.run([image]), stem.norm)
    with torch.no_grad():
        folded = nn.functional.conv2d(
            torch.from_numpy(image), torch.from_numpy(stem.weight), torch.from_numpy(stem.bias),
            padding=1,
        )  # fmt: skip
    assert np.allclose(folded.numpy(), expected, atol=1e-5)


def test_an_error_is_followed_to_the_output(reference: Reference) -> None:
    image = weak.images()[:1]
    values = reference.run([image])
    whole = array(values, reference.outputs[0])
    last = reference.layers[-1]
    assert np.array_equal(reference.outputs_with(values, last.end, np.zeros((1, 3)))[0], whole)
    assert np.allclose(reference.outputs_with(values, last.end, np.ones((1, 3)))[0], whole + 1)
    first = reference.layers[0]
    other = weak.images()[1:2]
    moved = reference.outputs_with(values, first.end, other - image)[0]
    assert np.allclose(moved, array(reference.run([other]), reference.outputs[0]), atol=1e-5)
