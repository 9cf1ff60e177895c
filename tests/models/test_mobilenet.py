"""MobileNet v1 and its twin with full convolutions, against the paper's tables."""

import pytest
from torch import nn

from models.mobilenet import BLOCKS
from tests.models.networks import analysed, parameters, shapes_only


def convolutions(module):
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize(
    ("width", "millions"), [("1.0", 4.2), ("0.75", 2.6), ("0.5", 1.3), ("0.25", 0.5)]
)
def test_mobilenet_v1_has_the_parameters_of_table_6(width, millions):
    module = shapes_only(f"mobilenet_v1_{width}_224")
    assert round(parameters(module) / 1e6, 1) == millions


def test_the_resolution_changes_no_parameter():
    counts = {parameters(shapes_only(f"mobilenet_v1_1.0_{r}")) for r in (224, 192, 160, 128)}
    assert len(counts) == 1


def test_mobilenet_v1_layers_follow_table_1():
    layers = convolutions(shapes_only("mobilenet"))
    assert len(layers) == 27
    depthwise, pointwise = layers[1::2], layers[2::2]
    assert all(c.groups == c.in_channels == c.out_channels for c in depthwise)
    assert all(c.kernel_size == (1, 1) and c.groups == 1 for c in pointwise)
    assert [c.out_channels for c in pointwise] == [
        64,
        *[128] * 2,
        *[256] * 2,
        *[512] * 6,
        *[1024] * 2,
    ]
    assert [c.stride[0] for c in depthwise] == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


def test_a_very_thin_mobilenet_keeps_eight_channels():
    assert min(c.out_channels for c in convolutions(shapes_only("mobilenet_v1_0.01_32"))) == 8


def test_with_full_convolutions_it_is_the_ablation_of_table_4():
    """29.3 million parameters and 4,866 million MACs, against 4.2 and 569."""
    found = analysed("mobilenet_v1_full")
    assert round(found.parameters / 1e6, 1) == 29.3
    assert found.macs / 1e6 == pytest.approx(4866, abs=2)


def test_the_full_one_has_the_same_maps_with_one_convolution_a_block():
    full = convolutions(shapes_only("mobilenet_v1_full_0.25_32"))
    thin = convolutions(shapes_only("mobilenet_v1_0.25_32"))
    assert [c.out_channels for c in full] == [c.out_channels for c in [thin[0], *thin[2::2]]]
    assert [c.stride for c in full] == [c.stride for c in [thin[0], *thin[1::2]]]
    assert all((c.kernel_size, c.groups) == ((3, 3), 1) for c in full)


def test_a_separable_convolution_costs_one_nth_and_one_ninth_of_a_full_one():
    """Section 3.1: ``1 / N + 1 / k**2`` of the MACs, for each of the thirteen blocks.

    Where the block has stride 1: else its depthwise convolution already has the smaller map.
    """
    separable = [layer.macs for layer in analysed("mobilenet_v1_1.0_224").layers if layer.macs]
    full = [layer.macs for layer in analysed("mobilenet_v1_full_1.0_224").layers if layer.macs]
    assert separable[0] == full[0]
    for block, (outputs, _) in enumerate(BLOCKS):
        depthwise, pointwise = separable[1 + 2 * block : 3 + 2 * block]
        share = (depthwise + pointwise) / full[1 + block]
        assert share == pytest.approx(1 / outputs + 1 / 3**2)
