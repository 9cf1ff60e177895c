"""MobileNet v2 against torchvision's parameters and the published counts."""

import pytest
import torch
from torch import nn

from models.layers import divisible_by_8
from models.mobilenet_v2 import InvertedResidual
from tests.models.networks import analysed, layout, norm, parameters, shapes_only

# The output channels of the seventeen blocks: table 2, written out.
OUT = [16, 24, 24, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320]


def torchvision_layout():
    """A block is `conv`: the 1x1 and 3x3 with norms inside, then a bare 1x1 and its norm."""
    expected = [("features.0.0.weight", (32, 3, 3, 3)), *norm("features.0.1", 32)]
    before = 32
    for block, out in enumerate(OUT, 1):
        prefix, inside = f"features.{block}.conv", before * (1 if block == 1 else 6)
        shapes = [(inside, before, 1, 1), (inside, 1, 3, 3)][block == 1 :]
        for n, shape in enumerate(shapes):
            expected += [(f"{prefix}.{n}.0.weight", shape), *norm(f"{prefix}.{n}.1", inside)]
        n = len(shapes)
        expected.append((f"{prefix}.{n}.weight", (out, inside, 1, 1)))
        expected += norm(f"{prefix}.{n + 1}", out)
        before = out
    expected += [("features.18.0.weight", (1280, 320, 1, 1)), *norm("features.18.1", 1280)]
    return [*expected, ("classifier.1.weight", (1000, 1280)), ("classifier.1.bias", (1000,))]


def test_it_has_torchvisions_state_dict():
    module = shapes_only("mobilenet_v2")
    assert layout(module) == torchvision_layout()
    assert parameters(module) == 3_504_872


@pytest.mark.parametrize(
    ("width", "millions"),
    [
        pytest.param("1.4", 582, marks=pytest.mark.slow),
        ("1.0", 300),
        pytest.param("0.75", 209, marks=pytest.mark.slow),
        pytest.param("0.5", 97, marks=pytest.mark.slow),
        pytest.param("0.35", 59, marks=pytest.mark.slow),
    ],
)
def test_it_has_the_published_macs(width, millions):
    assert int(analysed(f"mobilenet_v2_{width}_224").macs / 1e6) == millions


def test_strides_follow_table_2():
    module = shapes_only("mobilenet_v2")
    depthwise = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    strides = [m.stride[0] for m in depthwise]
    assert strides == [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]


def test_the_last_1280_channels_only_grow():
    assert shapes_only("mobilenet_v2_0.35").classifier[1].in_features == 1280
    assert shapes_only("mobilenet_v2_1.4").classifier[1].in_features == 1792


def test_a_block_adds_its_input_where_the_shape_stays_and_is_linear_at_its_end():
    x = torch.rand(1, 8, 4, 4)
    block = InvertedResidual(8, 8, 1, 6).eval()
    nn.init.zeros_(block.last_norm.weight)
    nn.init.constant_(block.last_norm.bias, -1.0)
    assert torch.equal(block(x), x - 1)
    for other in (InvertedResidual(8, 16, 1, 6), InvertedResidual(8, 8, 2, 6)):
        nn.init.zeros_(other.last_norm.weight)
        assert other.eval()(x).count_nonzero() == 0


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [(1, 8), (11.2, 16), (12, 16), (18, 24), (20, 24), (24, 24), (33.6, 32)],
)
def test_channels_become_multiples_of_8_and_never_lose_a_tenth(channels, rounded):
    assert divisible_by_8(channels) == rounded
