"""The residual networks against torchvision's parameters and the papers' counts."""

import pytest
from torch import nn

from tests.models.networks import analysed, layout, norm, parameters, shapes_only

BASIC, BOTTLENECK = (3, 3), (1, 3, 1)


def resnet_layout(kernels, counts, expansion, *, inner=1, groups=1, squeeze=None):
    """torchvision's order: in a block convolution and norm by turns, then the projection.

    `inner` is the width inside a block in units of ResNet's.
    """
    expected = [("conv1.weight", (64, 3, 7, 7)), *norm("bn1", 64)]
    before = 64
    for stage, count in enumerate(counts, 1):
        width, out = 32 * 2**stage * inner, 32 * 2**stage * expansion
        for block in range(count):
            prefix, inside = f"layer{stage}.{block}", before
            for n, kernel in enumerate(kernels, 1):
                after = out if n == len(kernels) else width
                seen = inside // (groups if kernel == 3 else 1)
                shape = (after, seen, kernel, kernel)
                expected += [(f"{prefix}.conv{n}.weight", shape), *norm(f"{prefix}.bn{n}", after)]
                inside = after
            if squeeze:
                expected += squeeze_excite(f"{prefix}.se", out, out // squeeze)
            if block == 0 and (stage > 1 or before != out):
                expected.append((f"{prefix}.downsample.0.weight", (out, before, 1, 1)))
                expected += norm(f"{prefix}.downsample.1", out)
            before = out
    return [*expected, ("fc.weight", (1000, before)), ("fc.bias", (1000,))]


def squeeze_excite(prefix, channels, squeezed):
    return [
        (f"{prefix}.fc1.weight", (squeezed, channels, 1, 1)),
        (f"{prefix}.fc1.bias", (squeezed,)),
        (f"{prefix}.fc2.weight", (channels, squeezed, 1, 1)),
        (f"{prefix}.fc2.bias", (channels,)),
    ]


def kernels_and_strides(module):
    """Every convolution's kernel and stride in the order of the network, shortcuts left out."""
    return [
        (m.out_channels, m.kernel_size, m.stride)
        for name, m in module.named_modules()
        if isinstance(m, nn.Conv2d) and "downsample" not in name
    ]


@pytest.mark.parametrize(
    ("name", "kernels", "counts", "expansion", "total"),
    [
        ("resnet18", BASIC, (2, 2, 2, 2), 1, 11_689_512),
        ("resnet34", BASIC, (3, 4, 6, 3), 1, 21_797_672),
        ("resnet50", BOTTLENECK, (3, 4, 6, 3), 4, 25_557_032),
        ("resnet50_v1", BOTTLENECK, (3, 4, 6, 3), 4, 25_557_032),
        ("resnet101", BOTTLENECK, (3, 4, 23, 3), 4, 44_549_160),
        ("resnet152", BOTTLENECK, (3, 8, 36, 3), 4, 60_192_808),
    ],
)
def test_resnet_has_torchvisions_state_dict(name, kernels, counts, expansion, total):
    module = shapes_only(name)
    assert layout(module) == resnet_layout(kernels, counts, expansion)
    assert parameters(module) == total


def test_resnext50_has_torchvisions_state_dict():
    module = shapes_only("resnext50_32x4d")
    assert layout(module) == resnet_layout(BOTTLENECK, (3, 4, 6, 3), 4, inner=2, groups=32)
    assert parameters(module) == 25_028_904


@pytest.mark.parametrize(
    ("name", "wide", "total"),
    [
        ("se_resnet50", {}, 28_088_024),
        ("se_resnext50_32x4d", {"inner": 2, "groups": 32}, 27_559_896),
    ],
)
def test_senet_is_its_base_with_squeeze_and_excitation_before_the_shortcut(name, wide, total):
    module = shapes_only(name)
    assert layout(module) == resnet_layout(BOTTLENECK, (3, 4, 6, 3), 4, squeeze=16, **wide)
    assert parameters(module) == total


def test_resnet152_for_two_channels_and_ten_classes():
    assert parameters(shapes_only("resnet152", channels=2, classes=10)) == 58_161_162


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("plain18", 1.8),
        ("resnet18", 1.8),
        ("plain34", 3.6),
        pytest.param("resnet50_v1", 3.8, marks=pytest.mark.slow),
        pytest.param("resnet101_v1", 7.6, marks=pytest.mark.slow),
        pytest.param("resnet152_v1", 11.3, marks=pytest.mark.slow),
    ],
)
def test_macs_are_those_of_table_1(name, billions):
    """The paper has 3.8 for 3.858, and its ResNet-34 has shortcuts without a convolution."""
    assert analysed(name).macs / 1e9 == pytest.approx(billions, abs=0.06)


def test_version_1_5_has_its_stride_in_the_3x3_and_takes_4_1_gmacs():
    first = shapes_only("resnet50").get_submodule("layer2.0")
    assert (first.conv1.stride, first.conv2.stride) == ((1, 1), (2, 2))
    assert round(analysed("resnet50").macs / 1e9, 1) == 4.1


def test_version_1_has_its_stride_in_the_first_1x1():
    first = shapes_only("resnet50_v1").get_submodule("layer2.0")
    assert (first.conv1.stride, first.conv2.stride) == ((2, 2), (1, 1))


@pytest.mark.parametrize("depth", [18, 34])
def test_a_plain_network_is_the_resnet_without_its_shortcuts(depth):
    plain, residual = shapes_only(f"plain{depth}"), shapes_only(f"resnet{depth}")
    assert kernels_and_strides(plain) == kernels_and_strides(residual)
    assert layout(plain) == [row for row in layout(residual) if "downsample" not in row[0]]


def test_a_plain_network_has_the_macs_of_the_resnet_but_for_its_three_projections():
    layers = analysed("resnet18").layers
    assert len([la for la in layers if la.macs and "downsample" in la.name]) == 3
    through = sum(layer.macs for layer in layers if "downsample" not in layer.name)
    assert analysed("plain18").macs == through


@pytest.mark.slow
def test_se_resnet50_has_the_published_3_87_gmacs():
    """Hu et al. count what squeezes and what scales too, one operation for each value."""
    found = analysed("se_resnet50")
    scaled = [layer.output_shape for layer in found.layers if layer.kind == "mul"]
    values = sum(channels * height * width for _, channels, height, width in scaled)
    assert len(scaled) == 16
    assert round((found.macs + 2 * values) / 1e9, 2) == 3.87


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)
def test_cifar_resnets_have_the_layers_and_parameters_of_table_6(depth, millions):
    module = shapes_only(f"resnet{depth}")
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth
    assert parameters(module) / 1e6 == pytest.approx(millions, rel=0.02)


def test_cifar_resnets_have_the_maps_of_section_4_2():
    shapes = [layer.output_shape[1:] for layer in analysed("resnet20").layers if layer.macs]
    expected = [(16, 32, 32)] * 7 + [(32, 16, 16)] * 6 + [(64, 8, 8)] * 6 + [(10,)]
    assert shapes == expected
