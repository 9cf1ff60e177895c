"""Each family against published facts: parameter names and shapes, feature maps, counts."""

import pytest
import torch
from torch import nn

from models.checkpoint import create
from models.registry import FAMILIES, names, resolve
from tests.models.networks import shapes_only


@pytest.mark.parametrize("name", [n for n in names() if "@" not in n and resolve(n).classes])
def test_every_network_classifies_its_own_input(name):
    spec, module = resolve(name), shapes_only(name)
    x = torch.empty(2, spec.channels, *spec.size, device="meta")
    assert module(x).shape == (2, spec.classes)


@pytest.mark.parametrize("name", [next(f.listed()) for f in FAMILIES if f.output == "logits"])
def test_classes_and_channels_can_be_chosen_and_read_off_stem_and_head(name):
    spec, state = resolve(name), shapes_only(name, classes=7, channels=2).state_dict()
    assert state[spec.stem].shape[1] == 2
    assert state[spec.head].shape[0] == 7


@pytest.mark.parametrize(
    "name",
    [
        "lenet5",
        *("resnet18_64", "plain34", "resnet20", "resnet110", "resnext50_32x4d_64"),
        *("resnet152_64", "se_resnet50_64", "se_resnext50_32x4d_64"),
        *("mobilenet_v1_0.25_128", "mobilenet_v1_full_0.25_64", "mobilenet_v2_1.0_64"),
        *("mobilenet_v3_small_1.0_64", "mobilenet_v3_large_1.0_64"),
    ],
)
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
