"""AlexNet in its four forms, and ZFNet, against their papers' tables and torchvision's names."""

import pytest
import torch
from torch import nn

from models.checkpoint import create
from models.layers import LocalResponseNorm
from models.registry import resolve
from tests.models.networks import feature_maps, layout, parameters, shapes_only, weights


def outputs_of(module, kind, side):
    """The shapes after each module of a kind, for an image of `side` by `side`."""
    leaves = [m for m in module.modules() if not list(m.children())]
    maps = feature_maps(module, torch.empty(1, 3, side, side, device="meta"))
    return [m for m, leaf in zip(maps, leaves, strict=True) if isinstance(leaf, kind)]


def counts(module):
    return [parameters(m) for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize("name", ["alexnet", "alexnet_grouped", "alexnet_bn"])
def test_maps_are_those_of_figure_2(name):
    module = shapes_only(name)
    assert outputs_of(module, nn.Conv2d, 227) == [
        *((96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13))
    ]
    assert outputs_of(module, nn.MaxPool2d, 227) == [(96, 27, 27), (256, 13, 13), (256, 6, 6)]
    assert outputs_of(module, nn.Linear, 227) == [(4096,), (4096,), (1000,)]


def test_parameters_of_one_tower():
    module = shapes_only("alexnet")
    assert weights(module)[0] == 34_848
    assert counts(module) == [
        *(34_944, 614_656, 885_120, 1_327_488, 884_992),
        *(37_752_832, 16_781_312, 4_097_000),
    ]


def test_two_groups_see_half_of_the_maps_in_the_second_fourth_and_fifth_convolution():
    module = shapes_only("alexnet_grouped")
    assert [m.groups for m in module.modules() if isinstance(m, nn.Conv2d)] == [1, 2, 1, 2, 2]
    assert parameters(module) == pytest.approx(60e6, rel=0.02)


def test_the_paper_normalises_before_it_pools_and_one_tower_after():
    def order(name):
        kinds = {LocalResponseNorm: "norm", nn.MaxPool2d: "pool"}
        return [kinds[type(m)] for m in shapes_only(name).features if type(m) in kinds]

    assert order("alexnet_grouped") == ["norm", "pool", "norm", "pool", "pool"]
    assert order("alexnet") == ["pool", "norm", "pool", "norm", "pool"]


def test_batch_norm_adds_as_many_statistics_as_it_learns():
    """Running means and variances are no parameters here; Keras counts them, as not trainable."""
    module = shapes_only("alexnet_bn", classes=100)
    statistics = sum(b.numel() for key, b in module.named_buffers() if "running" in key)
    assert statistics == 704
    assert parameters(module) + statistics == 58_692_452


def test_one_weird_trick_has_torchvisions_state_dict():
    expected = []
    features = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3)}
    for place, (after, before, kernel) in {**features, 10: (256, 256, 3)}.items():
        expected.append((f"features.{place}.weight", (after, before, kernel, kernel)))
        expected.append((f"features.{place}.bias", (after,)))
    for place, (before, after) in {1: (9216, 4096), 4: (4096, 4096), 6: (4096, 1000)}.items():
        expected.append((f"classifier.{place}.weight", (after, before)))
        expected.append((f"classifier.{place}.bias", (after,)))
    module = shapes_only("alexnet_owt")
    assert layout(module) == expected
    assert parameters(module) == 61_100_840


def test_one_weird_trick_on_grey_images_of_ten_classes():
    module = shapes_only("alexnet_owt", classes=10, channels=1)
    assert parameters(module) == 57_029_322
    assert counts(module) == [
        *(7_808, 307_392, 663_936, 884_992, 590_080),
        *(37_752_832, 16_781_312, 40_970),
    ]


def test_zfnet_has_the_maps_of_figure_3_and_the_wide_layers_of_table_2():
    module = shapes_only("zfnet")
    first = module.features[0]
    assert (first.kernel_size, first.stride) == ((7, 7), (2, 2))
    assert outputs_of(module, nn.Conv2d, 224) == [
        *((96, 110, 110), (256, 26, 26), (512, 13, 13), (1024, 13, 13), (512, 13, 13))
    ]
    assert outputs_of(module, nn.MaxPool2d, 224) == [(96, 55, 55), (256, 13, 13), (512, 6, 6)]


@pytest.mark.parametrize(
    ("name", "least", "most"), [("alexnet_grouped", 15.4, 16.4), ("zfnet", 11.2, 14.8)]
)
def test_published_errors_are_those_of_the_challenge(name, least, most):
    assert least <= round(100 - resolve(name).published.top5, 1) <= most


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "alexnet_grouped", "alexnet_owt", "zfnet"])
def test_the_signal_survives_an_untrained_network_without_batch_norm(name):
    torch.manual_seed(0)
    spec = resolve(name)
    images = nn.functional.interpolate(torch.randn(8, 3, 4, 4), size=spec.size)
    with torch.no_grad():
        logits = create(spec).eval()(images)
    assert logits.std(dim=0).mean() > 0.05
    assert 0.05 < logits.abs().max() < 50
