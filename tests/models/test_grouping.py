"""Rows, blocks and stages of networks, and the remarks that are computed from them."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.export import export

from models.analysis import analyse, analyse_network
from models.grouping import GROUPINGS, MOST_ROWS, blocks, default_grouping, label, rows, stages
from models.registry import resolve
from models.remarks import remarks


@pytest.fixture(scope="module")
def analyses():
    names = ("vgg16", "resnet18", "mobilenet", "lenet5")
    return {name: analyse_network(resolve(name)) for name in names}


def names(found):
    return [row.name for row in found]


def count(module, *shape):
    return analyse(export(module.eval(), (torch.zeros(*shape),)))


@pytest.mark.parametrize("by", GROUPINGS)
@pytest.mark.parametrize("name", ["vgg16", "resnet18", "mobilenet", "lenet5"])
def test_no_grouping_loses_anything(analyses, name, by):
    analysis = analyses[name]
    found = GROUPINGS[by](analysis)
    assert sum(row.parameters for row in found) == analysis.parameters
    assert sum(row.macs for row in found) == analysis.macs
    assert sum(row.activation_bytes for row in found) == analysis.total_activation_bytes


def test_norm_activation_and_addition_are_folded_into_the_convolution(analyses):
    by_name = {row.name: row for row in rows(analyses["resnet18"])}
    assert by_name["conv1"].label == "conv 7x7/2"
    assert by_name["conv1"].folded == ("batch norm", "relu")
    assert by_name["layer1.0.conv2"].folded == ("batch norm", "add", "relu")
    assert by_name["layer1.0.conv2"].parameters == 64 * 64 * 9 + 2 * 64


def test_an_activation_that_takes_memory_has_its_own_row():
    class Kept(nn.Module):
        def forward(self, x):
            y = x * 2.0
            return torch.cat([torch.relu(y), y], dim=1)

    assert [row.label for row in rows(count(Kept(), 1, 4))] == ["input", "mul", "relu", "cat"]


def test_a_block_is_a_numbered_part(analyses):
    assert names(blocks(analyses["resnet18"])) == [
        *("x", "conv1", "maxpool"),
        *(f"layer{stage}.{number}" for stage in (1, 2, 3, 4) for number in (0, 1)),
        *("avgpool", "fc"),
    ]


def test_a_stage_is_a_part_or_its_children_at_one_resolution(analyses):
    assert names(stages(analyses["resnet18"])) == [
        *("x", "conv1", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")
    ]
    by_name = {row.name: row for row in stages(analyses["resnet18"])}
    assert by_name["conv1"].label == "conv 7x7/2"
    assert by_name["layer1"].label == "14 operators"
    assert by_name["layer1"].folded == ()
    assert names(stages(analyses["mobilenet"])) == [
        *("x", "features.0-1", "features.2-3", "features.4-5", "features.6-11"),
        *("features.12-13", "pool", "classifier"),
    ]
    vgg = stages(analyses["vgg16"])
    assert [row.resolution for row in vgg[1:]] == [
        *((224, 224), (112, 112), (56, 56), (28, 28), (14, 14), (7, 7), ())
    ]


def test_a_gate_is_not_where_a_block_ends():
    """Squeeze-and-excitation is computed last but applied to the maps, which are what leaves."""
    found = analyse_network(resolve("se_resnet18"))
    plain = analyse_network(resolve("resnet18"))
    for grouping in (blocks, stages):
        pairs = zip(grouping(found), grouping(plain), strict=True)
        assert all(a.name == b.name and a.output_shape == b.output_shape for a, b in pairs)


def test_the_members_of_an_ensemble_are_opened():
    found = names(stages(analyse_network(resolve("resnet20+resnet32"))))
    assert [name for name in found if name.startswith("members.1.")] == [
        f"members.1.{stage}" for stage in names(stages(analyse_network(resolve("resnet32"))))[1:]
    ]


def test_maps_that_leave_as_a_vector_count_at_their_resolution():
    last = stages(analyse_network(resolve("alphago")))[-1]
    assert (last.output_shape, last.resolution) == ((1, 361), (19, 19))


def test_a_wrapper_is_looked_through():
    inside = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2))
    outside = nn.Sequential(OrderedDict(backbone=inside))
    assert names(stages(count(outside, 1, 1, 9, 9)))[1:] == ["backbone.0", "backbone.1"]


def test_a_long_network_is_shown_by_block(analyses):
    assert default_grouping(analyses["vgg16"]) == "layer"
    parts = [nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)) for _ in range(MOST_ROWS // 2)]
    assert default_grouping(count(nn.Sequential(*parts), 1, 1, 4, 4)) == "block"
    layers = [nn.Conv2d(1, 1, 1) for _ in range(MOST_ROWS + 1)]
    assert default_grouping(count(nn.Sequential(*layers), 1, 1, 4, 4)) == "stage"


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Conv2d(2, 2, 3), "conv 3x3"),
        (nn.Conv2d(2, 2, (1, 7), stride=(1, 2)), "conv 1x7/1x2"),
        (nn.Conv2d(2, 2, 3, stride=2, groups=2), "dw conv 3x3/2"),
        (nn.MaxPool2d(3, 2), "max pool 3x3/2"),
        (nn.ReLU6(), "relu6"),
        (nn.Hardtanh(), "hardtanh"),
    ],
)
def test_labels_say_what_a_layer_is(module, words):
    assert label(count(module, 1, 2, 16, 16).layers[-1]) == words


def test_vgg16_keeps_its_memory_early_and_its_parameters_late(analyses):
    assert remarks(analyses["vgg16"]) == [
        "most activation memory in the first 3 of 13 convolutions (58.0 %)",
        "most parameters in classifier.0 (74.3 %), the first fully-connected layer",
        "most arithmetic in conv 3x3 (99.2 %)",
    ]


def test_mobilenet_computes_almost_only_in_1x1_convolutions(analyses):
    """Howard et al., table 2: 94.86 % of the mult-adds."""
    memory, parameters, arithmetic = remarks(analyses["mobilenet"])
    assert memory.startswith("most activation memory in the first 6 of 27 convolutions")
    assert "the last convolution" in parameters
    assert arithmetic == "most arithmetic in conv 1x1 (94.9 %)"


def test_remarks_hold_for_networks_of_other_kinds():
    perceptron = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 100), nn.Linear(100, 2))
    assert remarks(count(perceptron, 1, 8)) == [
        "most activation memory in the first 2 of 3 layers (91.5 %)",
        "most parameters in 1 (76.7 %), the second fully-connected layer",
        "most arithmetic in linear (100.0 %)",
    ]
    assert remarks(count(nn.ReLU(), 1, 8)) == ["most activation memory in the only layer (50.0 %)"]
