"""The analyser against published counts and against small networks counted by hand."""

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch.utils.flop_counter import FlopCounterMode

from models.analysis import analyse, analyse_network
from models.checkpoint import create
from models.registry import resolve

FLOAT32 = 4


def program_of(name):
    spec = resolve(name)
    with torch.device("meta"):
        module = create(spec).eval()
    x = torch.empty(2, spec.channels, *spec.size, device="meta")
    return export(module, (x,), dynamic_shapes=({0: Dim("batch")},))


def count(module, *shape):
    return analyse(export(module.eval(), (torch.zeros(*shape),)))


def kinds(analysis):
    return [layer.kind for layer in analysis.layers]


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("mobilenet_v1_1.0_224", 569),
        ("mobilenet_v1_0.75_224", 325),
        pytest.param("mobilenet_v1_0.5_224", 149, marks=pytest.mark.slow),
        pytest.param("mobilenet_v1_0.25_224", 41, marks=pytest.mark.slow),
        pytest.param("mobilenet_v1_1.0_192", 418, marks=pytest.mark.slow),
        pytest.param("mobilenet_v1_1.0_160", 290, marks=pytest.mark.slow),
        ("mobilenet_v1_1.0_128", 186),
    ],
)
def test_mobilenet_v1_has_the_macs_of_tables_6_and_7(name, millions):
    """The paper rounds 568.7 up and 290.7 down."""
    assert abs(analyse(program_of(name)).macs / 1e6 - millions) < 0.7


@pytest.mark.parametrize(
    ("name", "parameters", "billions"),
    [("resnet18", 11_689_512, 1.8), ("resnet50", 25_557_032, 4.1)],
)
def test_resnet_has_its_parameters_and_macs(name, parameters, billions):
    found = analyse(program_of(name))
    assert found.parameters == parameters
    assert round(found.macs / 1e9, 1) == billions


def test_lenet5_layer_by_layer():
    found = analyse(program_of("lenet5"))
    assert found.parameters == 61_706
    assert found.macs == 117_600 + 240_000 + 48_000 + 10_080 + 840
    assert [layer.parameters for layer in found.layers if layer.parameters] == [
        *(156, 2_416, 48_120, 10_164, 850)
    ]
    assert [layer.output_shape for layer in found.layers[1:7]] == [
        *((1, 6, 28, 28), (1, 6, 28, 28), (1, 6, 14, 14)),
        *((1, 16, 10, 10), (1, 16, 10, 10), (1, 16, 5, 5)),
    ]


def test_vgg16_has_the_activations_of_the_lectures_and_their_true_sum():
    """The lectures sum their own column to "24M values, 96 MB": it is 15.2 M values, 61 MB."""
    found = analyse(program_of("vgg16"))
    column = [layer.activation_bytes // FLOAT32 for layer in found.layers if layer.activation_bytes]
    thousands = [150, 3200, 3200, 800, 1600, 1600, 400, 800, 800, 800, 200, 400, 400, 400]
    thousands += [100, 100, 100, 100, 25]
    assert column[:19] == pytest.approx([1000 * value for value in thousands], rel=0.01)
    assert column[19:] == [4096, 4096, 1000]
    assert found.total_activation_bytes == FLOAT32 * sum(column) == 60_950_432


def test_vgg16_needs_most_memory_early_and_has_most_parameters_late():
    found = analyse(program_of("vgg16"))
    assert found.peak_activation_bytes == 2 * FLOAT32 * 64 * 224 * 224
    largest = max(found.layers, key=lambda layer: layer.parameters)
    assert (largest.name, largest.parameters) == ("classifier.0", 102_764_544)
    assert largest.weight_bytes == FLOAT32 * 102_764_544


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "resnet18", "mobilenet_v1_0.25_128"])
@pytest.mark.parametrize("table", [{}, None], ids=["decomposed", "core"])
@pytest.mark.filterwarnings("ignore:.*isinstance.*treespec:FutureWarning")
def test_the_dialect_of_the_program_makes_no_difference(name, table):
    program = program_of(name)
    other = program.run_decompositions(table)
    before, after = analyse(program), analyse(other)
    assert after.macs == before.macs
    assert after.parameters == before.parameters
    assert after.total_activation_bytes == before.total_activation_bytes
    assert after.peak_activation_bytes == before.peak_activation_bytes
    assert [layer.parameters for layer in after.layers] == [
        layer.parameters for layer in before.layers
    ]


def test_a_dynamic_batch_counts_as_one():
    module = nn.Conv2d(3, 4, 3).eval()
    dynamic = export(module, (torch.zeros(5, 3, 8, 8),), dynamic_shapes=({0: Dim("batch")},))
    assert analyse(dynamic) == count(module, 1, 3, 8, 8)
    assert count(module, 5, 3, 8, 8).macs == 5 * analyse(dynamic).macs


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Conv2d(6, 8, 3, padding=1), (1, 6, 5, 5), 5 * 5 * 8 * 6 * 9),
        (nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2), (1, 6, 5, 5), 3 * 3 * 8 * 3 * 9),
        (nn.Conv2d(6, 12, 3, padding=1, groups=6), (1, 6, 5, 5), 5 * 5 * 12 * 9),
        (nn.Conv1d(2, 3, 5), (1, 2, 9), 5 * 3 * 2 * 5),
        (nn.Conv3d(2, 3, 3), (1, 2, 5, 5, 5), 27 * 3 * 2 * 27),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 5, 5), 25 * 4 * 6 * 4),
        (nn.Linear(7, 5), (1, 7), 35),
        (nn.Linear(7, 5), (1, 3, 7), 3 * 35),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), (1, 3, 4, 4), 0),
    ],
)
def test_multiply_accumulates_by_hand(module, shape, macs):
    assert count(module, *shape).macs == macs


class Attention(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


class Products(nn.Module):
    def forward(self, x):
        return (x @ x.transpose(1, 2)).sum() + torch.bmm(x, x.transpose(1, 2)).sum()


def test_products_without_weights_count_too():
    assert count(Attention(), 1, 2, 5, 8).macs == 2 * (2 * 5 * 5 * 8)
    assert count(Products(), 1, 5, 8).macs == 2 * (5 * 5 * 8)


def test_running_statistics_are_not_parameters():
    assert count(nn.BatchNorm2d(3), 1, 3, 4, 4).parameters == 6


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(self.inner(x))


def test_a_shared_parameter_counts_once_and_its_work_each_time():
    found = count(Shared(), 1, 4)
    assert found.parameters == 20
    assert [layer.parameters for layer in found.layers] == [0, 20, 0]
    assert found.macs == 32


def test_depthwise_convolutions_are_told_apart():
    module = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1, groups=2)
    )
    assert kinds(count(module, 1, 4, 8, 8)) == ["input", "depthwise conv", "conv", "conv"]


def test_views_are_not_layers_and_take_no_memory():
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 3))
    found = count(module, 1, 1, 2, 2)
    assert kinds(found) == ["input", "conv", "linear"]
    assert found.total_activation_bytes == FLOAT32 * (4 + 8 + 3)
    assert found.peak_activation_bytes == FLOAT32 * (4 + 8)


class Residual(nn.Module):
    """A 1x1 convolution on 4 values, ReLU, added to what came before it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        x = self.first(x)
        return torch.relu(self.second(x) + x)


def test_a_shortcut_keeps_its_tensor_alive_until_the_addition():
    found = count(Residual(), 1, 1, 2, 2)
    assert found.total_activation_bytes == FLOAT32 * (4 + 4 + 4)
    assert found.peak_activation_bytes == FLOAT32 * (4 + 4)


class KeptTwice(nn.Module):
    def forward(self, x):
        y = x * 2.0
        return torch.relu(y) + torch.sigmoid(y)


def test_a_tensor_still_needed_is_not_written_over():
    """The product is needed by two: the first of them allocates, the second writes over it."""
    found = count(KeptTwice(), 1, 10)
    assert [layer.activation_bytes for layer in found.layers] == [40, 40, 40, 0, 0]
    assert found.peak_activation_bytes == 80


def test_the_input_belongs_to_the_caller():
    found = count(nn.ReLU(), 1, 10)
    assert [layer.activation_bytes for layer in found.layers] == [40, 40]
    assert found.peak_activation_bytes == 80


class TwoInputs(nn.Module):
    def forward(self, a, b):
        return torch.cat([a, b], dim=1), a


def test_several_inputs_and_outputs_are_all_counted():
    found = analyse(export(TwoInputs(), (torch.zeros(1, 3), torch.zeros(1, 5))))
    assert kinds(found) == ["input", "input", "cat"]
    assert found.peak_activation_bytes == FLOAT32 * (3 + 5 + 8)


@pytest.mark.parametrize("name", ["lenet5", "vgg16", "resnet18", "mobilenet_v1_0.25_128"])
def test_an_independent_counter_agrees(name):
    """torch's own counter watches a real forward pass: two FLOPs a multiply-accumulate."""
    spec = resolve(name)
    with torch.device("meta"):
        module = create(spec).eval()
        image = torch.empty(1, spec.channels, *spec.size)
    with FlopCounterMode(display=False) as counter:
        module(image)
    assert counter.get_total_flops() == 2 * analyse_network(spec).macs


def test_intensity_is_macs_per_byte_of_input_weights_and_output():
    layer = count(nn.Conv2d(3, 8, 3, bias=False), 1, 3, 6, 6).layers[-1]
    assert layer.bytes_moved == FLOAT32 * (3 * 36 + 3 * 8 * 9 + 8 * 16)
    assert layer.intensity == layer.macs / layer.bytes_moved
    relu = count(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), 1, 4).layers[-1]
    assert (relu.bytes_moved, relu.intensity) == (FLOAT32 * (4 + 4), 0)


def test_a_linear_layer_reuses_no_weight_and_a_convolution_each_many_times():
    """At batch 1 a linear layer does one MAC for each weight of 4 bytes it fetches."""
    by_name = {layer.name: layer for layer in analyse_network(resolve("vgg16")).layers}
    assert by_name["classifier.0"].intensity == pytest.approx(1 / FLOAT32, rel=0.01)
    assert by_name["features.2"].intensity > 50


def test_what_is_written_over_names_the_layer_that_allocated():
    found = count(Residual(), 1, 1, 2, 2).layers
    assert [layer.written_over for layer in found] == [None, None, None, 2, 2]
