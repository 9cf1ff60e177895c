"""The layers with weights, by the names that `models show` prints."""

import pytest
import torch

from export.layers import Step, between, choose
from export.precision import ExportError
from export.program import weighted_layers
from models import checkpoint
from models.registry import resolve


def layers_of(name: str):
    module = checkpoint.create(resolve(name)).eval()
    spec = resolve(name)
    image = torch.zeros(1, spec.channels, *spec.size)
    return weighted_layers(torch.export.export(module, (image,)))


def test_layers_are_in_the_program_s_order_with_torch_s_weight_shapes() -> None:
    found = layers_of("mobilenet_v2_0.35_32")
    assert [layer.kind for layer in found[:3]] == ["conv", "depthwise conv", "conv"]
    assert found[0].name == "features.0.0"
    assert found[0].weight == "features.0.0.weight"
    assert found[0].weight_shape == (16, 3, 3, 3)
    assert (found[-1].name, found[-1].kind) == ("classifier.1", "linear")


def test_every_layer_of_a_residual_network_is_there() -> None:
    assert len(layers_of("resnet18_32")) == 1 + 16 + 3 + 1


def test_weights_without_a_module_are_named_by_their_node() -> None:
    class Bare(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = torch.nn.Parameter(torch.ones(3, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.matrix

    (layer,) = weighted_layers(torch.export.export(Bare(), (torch.ones(1, 3),)))
    assert layer.name == "matmul"
    assert layer.weight_shape == (3, 4)


def test_wild_cards_choose_layers_in_the_program_s_order() -> None:
    layers = layers_of("lenet5")
    names = [layer.name for layer in layers]
    assert choose([names[-1], names[0]], layers) == (names[0], names[-1])
    assert choose([], layers) == ()


def test_choosing_every_layer_is_refused() -> None:
    with pytest.raises(ExportError, match="no layer of the 5 to quantize; use --precision fp16"):
        choose(["*"], layers_of("lenet5"))


def test_a_pattern_that_fits_nothing_names_what_is_near() -> None:
    layers = layers_of("mobilenet_v2_0.35_32")
    with pytest.raises(ExportError, match=r"did you mean 'classifier\.1'"):
        choose(["classifer.1"], layers)
    with pytest.raises(ExportError, match="models show"):
        choose(["zzz"], layers)


def chain(*steps: tuple[str, str, bool]) -> list[Step]:
    return [
        Step(inputs=tuple(read.split()), outputs=(made,), weighted=weighted)
        for read, made, weighted in steps
    ]


CHAIN = chain(
    ("image", "a", True), ("a", "b", False), ("b", "c", False), ("c", "d", True), ("d", "e", False)
)  # fmt: skip
RESIDUAL = chain(
    ("image", "a", True), ("a", "b", True), ("a b", "sum", False), ("sum", "c", True)
)  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "kept", "found"),
    [
        (CHAIN, {0, 3}, {1, 2}),
        (CHAIN, {0}, set()),
        (CHAIN, {3}, set()),
        (CHAIN, set(), set()),
        (RESIDUAL, {1, 3}, {2}),
        (RESIDUAL, {3}, set()),
        (RESIDUAL, {0, 1}, set()),
    ],
)
def test_what_lies_between_float_layers_only_stays_float(steps, kept, found) -> None:
    assert between(steps, kept) == found
