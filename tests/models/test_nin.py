"""Network in Network against its authors' ImageNet model."""

import torch
from torch import nn

from tests.models.networks import feature_maps, parameters, shapes_only


def test_it_has_7_6_million_parameters_and_no_linear_layer():
    module = shapes_only("nin")
    assert round(parameters(module) / 1e6, 1) == 7.6
    assert not [m for m in module.modules() if isinstance(m, nn.Linear)]


def test_every_mlpconv_block_is_one_large_and_two_1x1_convolutions():
    convolutions = [m for m in shapes_only("nin").modules() if isinstance(m, nn.Conv2d)]
    assert [c.kernel_size[0] for c in convolutions] == [11, 1, 1, 5, 1, 1, 3, 1, 1, 3, 1, 1]
    assert [c.out_channels for c in convolutions] == [
        *([96] * 3 + [256] * 3 + [384] * 3 + [1024, 1024, 1000])
    ]


def test_the_answer_is_the_mean_of_a_map_for_each_class():
    maps = feature_maps(shapes_only("nin"), torch.empty(1, 3, 224, 224, device="meta"))
    assert maps[-2:] == [(1000, 6, 6), (1000,)]
    assert {(96, 54, 54), (96, 27, 27), (256, 13, 13)} <= set(maps)
