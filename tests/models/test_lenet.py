"""LeNet-5 against figure 2 of its paper."""

import torch
from torch import nn

from tests.models.networks import feature_maps, parameters, shapes_only


def test_lenet5_has_the_maps_and_counts_of_the_paper():
    module = shapes_only("lenet5")
    assert parameters(module) == 61_706
    counts = [parameters(m) for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert counts == [156, 2_416, 48_120, 10_164, 850]
    maps = feature_maps(module, torch.empty(1, 1, 28, 28, device="meta"))
    assert maps[:6] == [(6, 28, 28)] * 2 + [(6, 14, 14)] + [(16, 10, 10)] * 2 + [(16, 5, 5)]
