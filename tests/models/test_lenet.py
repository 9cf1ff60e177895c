"""LeNet-5 against figure 2 of its paper."""

import pytest
import torch
from torch import nn

from models.family import ModelError
from models.registry import resolve
from tests.models.networks import analysed, feature_maps, parameters, shapes_only


@pytest.mark.parametrize(("name", "side"), [("lenet5", 28), ("lenet5_32", 32)])
def test_lenet5_has_the_maps_and_counts_of_the_paper_at_either_size(name, side):
    module = shapes_only(name)
    assert parameters(module) == 61_706
    counts = [parameters(m) for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert counts == [156, 2_416, 48_120, 10_164, 850]
    maps = feature_maps(module, torch.empty(1, 1, side, side, device="meta"))
    assert maps[:6] == [(6, 28, 28)] * 2 + [(6, 14, 14)] + [(16, 10, 10)] * 2 + [(16, 5, 5)]


def test_padding_changes_no_cost():
    assert analysed("lenet5_32").macs == analysed("lenet5").macs == 416_520


def test_28_pixels_are_the_default_and_left_out_of_the_name():
    assert resolve("lenet5_28").name == "lenet5"


@pytest.mark.parametrize("name", ["lenet5_30", "lenet5_0"])
def test_another_size_is_refused(name):
    with pytest.raises(ModelError, match="the resolution must be 28 or 32"):
        resolve(name)
