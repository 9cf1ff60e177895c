"""Residual blocks: what a shortcut adds, what squeeze-and-excitation scales."""

import pytest
import torch
from torch import nn

from models.layers import SqueezeExcite
from models.residual import (
    Basic,
    Bottleneck,
    Variant,
    last_norms,
    no_shortcut,
    projection,
    stages,
    zero_padding,
)


def silent(block):
    """Let the convolutions of `block` compute zeros."""
    for norm in last_norms(block):
        nn.init.zeros_(norm.weight)
    return block.eval()


@pytest.mark.parametrize(
    "variant", [Variant(), Variant(zero_padding), Variant(squeeze_excite=True)]
)
@pytest.mark.parametrize("block", [Basic, Bottleneck])
def test_a_block_that_keeps_the_shape_adds_its_input(block, variant):
    x = torch.rand(1, 64, 4, 4)
    assert torch.equal(silent(block(64, 64 // block.expansion, 1, variant))(x), x)


def test_a_plain_block_adds_nothing():
    block = Basic(4, 4, 1, Variant(no_shortcut)).eval()
    nn.init.zeros_(block.bn2.weight)
    assert block(torch.rand(1, 4, 4, 4)).count_nonzero() == 0


def test_option_a_takes_every_other_pixel_and_adds_empty_channels():
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    y = zero_padding(2, 5, 2)(x)
    assert y[0].tolist() == [[[0, 2], [8, 10]], [[16, 18], [24, 26]], *[[[0, 0], [0, 0]]] * 3]


@pytest.mark.parametrize("shortcut", [zero_padding, projection])
@pytest.mark.parametrize("side", [7, 8])
def test_shortcuts_give_the_shape_of_the_block(shortcut, side):
    block = Basic(8, 16, 2, Variant(shortcut)).eval()
    assert block(torch.rand(2, 8, side, side)).shape == (2, 16, 4, 4)


def test_only_option_b_has_parameters():
    assert [name for name, _ in zero_padding(8, 16, 2).named_parameters()] == []
    assert projection(8, 16, 2).get_parameter("0.weight").shape == (16, 8, 1, 1)
    assert not list(projection(8, 8, 1).parameters())


def test_groups_of_the_32x4d_form():
    """Xie et al., table 1: 128 channels in 32 groups of 4 where ResNet-50 has 64."""
    block = Bottleneck(64, 64, 1, Variant(groups=32, group_width=4))
    assert block.conv2.weight.shape == (128, 4, 3, 3)
    assert block.conv3.weight.shape == (256, 128, 1, 1)


def test_stages_halve_the_image_and_double_the_width_but_for_the_first():
    x = torch.rand(1, 16, 32, 32)
    shapes = []
    for stage in stages(Basic, 16, (1, 2, 1), Variant()):
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_squeeze_and_excitation_by_hand():
    """Means 1 and 3; squeezed to their sum, 4; gates sigmoid(4) and sigmoid(-4)."""
    layer = SqueezeExcite(2, 1)
    with torch.no_grad():
        layer.fc1.weight.fill_(1)
        layer.fc2.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
        layer.fc1.bias.zero_()
        layer.fc2.bias.zero_()
        x = torch.tensor([[[[0.0, 2.0]], [[2.0, 4.0]]]])
        gates = torch.sigmoid(torch.tensor([4.0, -4.0])).reshape(1, 2, 1, 1)
        assert torch.allclose(layer(x), x * gates)
