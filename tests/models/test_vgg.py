"""VGG against table 1 of its paper and torchvision's names."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from models.checkpoint import create
from models.family import ModelError
from models.layers import LocalResponseNorm
from models.registry import resolve
from tests.models.networks import (
    analysed,
    feature_maps,
    layout,
    norm,
    parameters,
    shapes_only,
    weights,
)

PLACES = {
    "vgg11": [0, 3, 6, 8, 11, 13, 16, 18],
    "vgg13": [0, 2, 5, 7, 10, 12, 15, 17, 20, 22],
    "vgg16": [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28],
    "vgg19": [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34],
    "vgg11_bn": [0, 4, 8, 11, 15, 18, 22, 25],
    "vgg13_bn": [0, 3, 7, 10, 14, 17, 21, 24, 28, 31],
    "vgg16_bn": [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40],
    "vgg19_bn": [0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49],
}
WIDTHS = {
    "vgg11": [64, 128, 256, 256, 512, 512, 512, 512],
    "vgg13": [64, 64, 128, 128, 256, 256, 512, 512, 512, 512],
    "vgg16": [64, 64, 128, 128, 256, 256, 256, *[512] * 6],
    "vgg19": [64, 64, 128, 128, *[256] * 4, *[512] * 8],
}


def torchvision_layout(name):
    """Convolutions at the given places of `features`; linear layers at 0, 3, 6 of `classifier`."""
    expected = []
    shapes = pairwise([3, *WIDTHS[name.removesuffix("_bn")]])
    for place, (before, after) in zip(PLACES[name], shapes, strict=True):
        expected.append((f"features.{place}.weight", (after, before, 3, 3)))
        expected.append((f"features.{place}.bias", (after,)))
        if name.endswith("_bn"):
            expected += norm(f"features.{place + 1}", after)
    for place, (before, after) in {0: (25088, 4096), 3: (4096, 4096), 6: (4096, 1000)}.items():
        expected.append((f"classifier.{place}.weight", (after, before)))
        expected.append((f"classifier.{place}.bias", (after,)))
    return expected


@pytest.mark.parametrize("name", PLACES)
def test_the_state_dict_is_torchvisions(name):
    assert layout(shapes_only(name)) == torchvision_layout(name)


@pytest.mark.parametrize(
    ("name", "layers", "millions"),
    [
        ("vgg11", 11, 133),
        ("vgg11_lrn", 11, 133),
        ("vgg13", 13, 133),
        ("vgg16_c", 16, 134),
        ("vgg16", 16, 138),
        ("vgg19", 19, 144),
    ],
)
def test_weight_layers_and_parameters_are_those_of_tables_1_and_2(name, layers, millions):
    module = shapes_only(name)
    assert len(weights(module)) == layers
    assert round(parameters(module) / 1e6) == millions


@pytest.mark.parametrize(("name", "count"), [("vgg16", 138_357_544), ("vgg19", 143_667_240)])
def test_parameters_are_exact(name, count):
    assert parameters(shapes_only(name)) == count


def test_vgg16_has_the_weights_of_the_paper_layer_by_layer():
    assert weights(shapes_only("vgg16")) == [
        *(1_728, 36_864, 73_728, 147_456, 294_912, 589_824, 589_824, 1_179_648),
        *([2_359_296] * 5),
        *(102_760_448, 16_777_216, 4_096_000),
    ]


def test_vgg16_takes_15_5_billion_multiply_accumulates():
    assert round(analysed("vgg16").macs / 1e9, 2) == 15.47


def test_each_stage_of_vgg16_halves_its_maps():
    module = shapes_only("vgg16")
    maps = feature_maps(module.features, torch.empty(1, 3, 224, 224, device="meta"))
    pools = [m for m, layer in zip(maps, module.features, strict=True) if "Pool" in str(layer)]
    assert pools == [(64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7)]


@pytest.mark.parametrize("name", ["vgg16_c", "vgg16_c_bn"])
def test_configuration_c_ends_its_last_three_stages_in_1x1_convolutions(name):
    convolutions = [m for m in shapes_only(name).modules() if isinstance(m, nn.Conv2d)]
    assert [c.kernel_size[0] for c in convolutions] == [3, 3, 3, 3, *[3, 3, 1] * 3]


def test_configuration_a_lrn_normalises_after_the_first_rectified_convolution_only():
    layers = list(shapes_only("vgg11_lrn").features)
    assert [i for i, m in enumerate(layers) if isinstance(m, LocalResponseNorm)] == [2]
    assert isinstance(layers[3], nn.MaxPool2d)


def test_a_narrow_network_for_small_images_keeps_its_share_everywhere():
    module = shapes_only("vgg11_0.25_32")
    outputs = [m.weight.shape[0] for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert outputs == [16, 32, 64, 64, *[128] * 4, 1024, 1024, 1000]
    assert module.classifier[0].in_features == 128
    assert module(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 1000)


@pytest.mark.parametrize("name", ["vgg11_0.25_100", "vgg11_1_16", "vgg16_bn_0.5_225"])
def test_a_resolution_that_five_pools_do_not_divide_is_refused(name):
    with pytest.raises(ModelError, match="the resolution must be a multiple of 32"):
        resolve(name)


@pytest.mark.parametrize("name", ["vgg11_0.25_32", "vgg11_lrn_0.125_32", "vgg19_0.125_32"])
def test_the_signal_survives_an_untrained_network_without_batch_norm(name):
    torch.manual_seed(0)
    images = nn.functional.interpolate(torch.randn(8, 3, 4, 4), size=32)
    with torch.no_grad():
        logits = create(resolve(name)).eval()(images)
    assert logits.std(dim=0).mean() > 0.05
    assert 0.05 < logits.abs().max() < 50
