"""Each family against published facts: parameter names and shapes, feature maps, counts."""

import pytest
import torch
from torch import nn

from models.checkpoint import create
from models.registry import FAMILIES, names, resolve
from tests.models.networks import layout, norm, parameters, shapes_only


@pytest.mark.parametrize("name", [n for n in names() if "@" not in n and resolve(n).classes])
def test_every_network_classifies_its_own_input(name):
    spec, module = resolve(name), shapes_only(name)
    x = torch.empty(2, spec.channels, *spec.size, device="meta")
    assert module(x).shape == (2, spec.classes)


@pytest.mark.parametrize("family", [f.name for f in FAMILIES if f.output == "logits"])
def test_classes_and_channels_can_be_chosen_and_read_off_stem_and_head(family):
    name = next(next(f.listed()) for f in FAMILIES if f.name == family)
    spec, state = resolve(name), shapes_only(name, classes=7, channels=2).state_dict()
    assert state[spec.stem].shape[1] == 2
    assert state[spec.head].shape[0] == 7


def resnet_layout(kernels, counts, expansion):
    """torchvision's order: in a block convolution and norm by turns, then the projection."""
    expected = [("conv1.weight", (64, 3, 7, 7)), *norm("bn1", 64)]
    before = 64
    for stage, count in enumerate(counts, 1):
        width = 32 * 2**stage
        out = width * expansion
        for block in range(count):
            prefix, inside = f"layer{stage}.{block}", before
            for n, kernel in enumerate(kernels, 1):
                after = out if n == len(kernels) else width
                shape = (after, inside, kernel, kernel)
                expected += [(f"{prefix}.conv{n}.weight", shape), *norm(f"{prefix}.bn{n}", after)]
                inside = after
            if block == 0 and (stage > 1 or before != out):
                expected.append((f"{prefix}.downsample.0.weight", (out, before, 1, 1)))
                expected += norm(f"{prefix}.downsample.1", out)
            before = out
    return [*expected, ("fc.weight", (1000, before)), ("fc.bias", (1000,))]


@pytest.mark.parametrize(
    ("name", "kernels", "counts", "expansion", "total"),
    [
        ("resnet18", (3, 3), (2, 2, 2, 2), 1, 11_689_512),
        ("resnet50", (1, 3, 1), (3, 4, 6, 3), 4, 25_557_032),
    ],
)
def test_resnet_has_torchvisions_state_dict(name, kernels, counts, expansion, total):
    module = shapes_only(name)
    assert layout(module) == resnet_layout(kernels, counts, expansion)
    assert parameters(module) == total


def test_resnet50_is_version_1_5_with_the_stride_in_the_3x3():
    first = shapes_only("resnet50").get_submodule("layer2.0")
    assert first.conv1.stride == (1, 1)
    assert first.conv2.stride == (2, 2)


def test_a_residual_block_adds_its_input():
    module = create(resolve("resnet18"), classes=2).eval()
    block = module.get_submodule("layer1.1")
    nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 64, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("width", "millions"), [("1.0", 4.2), ("0.75", 2.6), ("0.5", 1.3), ("0.25", 0.5)]
)
def test_mobilenet_v1_has_the_parameters_of_table_6(width, millions):
    module = shapes_only(f"mobilenet_v1_{width}_224")
    assert round(parameters(module) / 1e6, 1) == millions


def test_mobilenet_v1_layers_follow_table_1():
    module = shapes_only("mobilenet")
    convolutions = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 27
    depthwise, pointwise = convolutions[1::2], convolutions[2::2]
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
    module = shapes_only("mobilenet_v1_0.01_32")
    assert min(m.out_channels for m in module.modules() if isinstance(m, nn.Conv2d)) == 8


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v1_0.25_128", "lenet5"])
def test_the_signal_survives_an_untrained_network(name):
    """Else a proof on random weights would compare noise: images must give different answers."""
    torch.manual_seed(0)
    spec = resolve(name)
    module = create(spec).eval()
    images = nn.functional.interpolate(torch.randn(8, spec.channels, 4, 4), size=spec.size)
    with torch.no_grad():
        logits = module(images)
    assert logits.std(dim=0).mean() > 1e-3 * logits.abs().mean()
    assert 1e-3 < logits.abs().max() < 1e3
