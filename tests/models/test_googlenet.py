"""GoogLeNet against table 1 of its paper, with a list of where that table is not exact."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.analysis import analyse
from models.checkpoint import build, create
from models.googlenet import Inception
from models.registry import resolve
from tests.models.networks import analysed, layout, norm, parameters, shapes_only

# Table 1, "params" in units of 1,024 weights and "ops" in millions, its two 3x3 rows as one.
TABLE_1 = {
    "conv1": (2.7, 34),
    "conv2": (112, 360),
    "inception3a": (159, 128),
    "inception3b": (380, 304),
    "inception4a": (364, 73),
    "inception4b": (437, 88),
    "inception4c": (463, 100),
    "inception4d": (580, 119),
    "inception4e": (840, 170),
    "inception5a": (1072, 54),
    "inception5b": (1388, 71),
    "fc": (1000, 1),
}
# What its own layers come to instead, where the table is more than one unit off.
TRUE_WEIGHTS = {
    "conv1": 9.2,
    "inception4a": 366.75,
    "inception4c": 497.5,
    "inception4d": 590.5,
    "inception4e": 847.0,
    "inception5a": 1018.0,
    "inception5b": 1409.0,
}
TRUE_MACS = {"conv1": 118.0, "inception5a": 51.1}


@pytest.fixture(scope="module")
def stages():
    """Weights and multiply-accumulates of each row of table 1, from the exported program."""
    module, found = shapes_only("googlenet"), {}
    for layer in analysed("googlenet").layers:
        if layer.macs:
            stage = layer.name.split(".")[0].replace("conv3", "conv2")
            weights, macs = found.get(stage, (0, 0))
            count = module.get_submodule(layer.name).weight.numel()
            found[stage] = (weights + count, macs + layer.macs)
    return found


def test_the_weights_of_each_stage_are_those_of_table_1_or_listed(stages):
    thousands = {stage: weights / 1024 for stage, (weights, _) in stages.items()}
    assert list(thousands) == list(TABLE_1)
    assert {s: k for s, k in thousands.items() if abs(k - TABLE_1[s][0]) > 1.0} == pytest.approx(
        TRUE_WEIGHTS, abs=0.06
    )


def test_the_macs_of_each_stage_are_those_of_table_1_or_listed(stages):
    millions = {stage: macs / 1e6 for stage, (_, macs) in stages.items()}
    assert {s: m for s, m in millions.items() if abs(m - TABLE_1[s][1]) > 1.0} == pytest.approx(
        TRUE_MACS, abs=0.05
    )


def depth(module):
    """Layers with weights on the longest way through; an inception module's branches are short."""
    if isinstance(module, Inception):
        return max(depth(branch) for branch in module.children())
    if not list(module.children()):
        return isinstance(module, nn.Conv2d | nn.Linear)
    return sum(depth(child) for child in module.children())


def test_22_layers_with_weights_in_depth_and_7_million_parameters():
    module = shapes_only("googlenet")
    assert depth(module) == 22
    assert 6.8e6 <= parameters(module) <= 7.01e6


def test_maps_are_those_of_table_1():
    module = shapes_only("googlenet")
    found = {}
    for name, child in module.named_children():
        child.register_forward_hook(lambda m, i, o, n=name: found.update({n: tuple(o.shape[1:])}))
    module(torch.empty(1, 3, 224, 224, device="meta"))
    expected = {"conv1": (64, 112, 112), "conv3": (192, 56, 56)}
    expected |= {"inception3a": (256, 28, 28), "inception3b": (480, 28, 28)}
    depths = {"4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832}
    expected |= {f"inception{name}": (depth, 14, 14) for name, depth in depths.items()}
    expected |= {"inception5a": (832, 7, 7), "inception5b": (1024, 7, 7)}
    assert {name: found[name] for name in expected} == expected


def convolution(prefix, after, before, kernel):
    shape = (after, before, kernel, kernel)
    return [(f"{prefix}.conv.weight", shape), *norm(f"{prefix}.bn", after)]


def torchvision_layout(largest):
    """torchvision's order; the lines of its constructor: in, 1x1, 3x3 reduce to 5x5, pool."""
    modules = {
        "3a": (192, 64, 96, 128, 16, 32, 32),
        "3b": (256, 128, 128, 192, 32, 96, 64),
        "4a": (480, 192, 96, 208, 16, 48, 64),
        "4b": (512, 160, 112, 224, 24, 64, 64),
        "4c": (512, 128, 128, 256, 24, 64, 64),
        "4d": (512, 112, 144, 288, 32, 64, 64),
        "4e": (528, 256, 160, 320, 32, 128, 128),
        "5a": (832, 256, 160, 320, 32, 128, 128),
        "5b": (832, 384, 192, 384, 48, 128, 128),
    }
    expected = convolution("conv1", 64, 3, 7) + convolution("conv2", 64, 64, 1)
    expected += convolution("conv3", 192, 64, 3)
    for name, (before, one, reduce3, three, reduce5, five, pool) in modules.items():
        prefix = f"inception{name}"
        expected += convolution(f"{prefix}.branch1", one, before, 1)
        expected += convolution(f"{prefix}.branch2.0", reduce3, before, 1)
        expected += convolution(f"{prefix}.branch2.1", three, reduce3, 3)
        expected += convolution(f"{prefix}.branch3.0", reduce5, before, 1)
        expected += convolution(f"{prefix}.branch3.1", five, reduce5, largest)
        expected += convolution(f"{prefix}.branch4.1", pool, before, 1)
    return [*expected, ("fc.weight", (1000, 1024)), ("fc.bias", (1000,))]


def heads_layout():
    expected = []
    for head, before in {"aux1": 512, "aux2": 528}.items():
        expected += convolution(f"{head}.conv", 128, before, 1)
        expected += [(f"{head}.fc1.weight", (1024, 2048)), (f"{head}.fc1.bias", (1024,))]
        expected += [(f"{head}.fc2.weight", (1000, 1024)), (f"{head}.fc2.bias", (1000,))]
    return expected


def test_torchvisions_state_dict_has_3x3_where_the_paper_has_5x5():
    module = shapes_only("googlenet_3x3")
    assert layout(module) == torchvision_layout(largest=3)
    assert parameters(module) == 6_624_904
    assert layout(shapes_only("googlenet")) == torchvision_layout(largest=5)


def test_auxiliary_heads_have_torchvisions_place_and_names():
    with torch.device("meta"):
        module = create(resolve("googlenet_3x3"), auxiliary=True)
    rest = torchvision_layout(largest=3)
    assert layout(module) == rest[:-2] + heads_layout() + rest[-2:]


@pytest.mark.parametrize("heads", [[], heads_layout()], ids=["without heads", "with heads"])
def test_torchvisions_weights_load_with_and_without_auxiliary_heads(tmp_path, heads):
    file = tmp_path / "googlenet.safetensors"
    shapes = torchvision_layout(largest=3) + heads
    save_file({key: torch.rand(shape) for key, shape in shapes}, file)
    built = build("googlenet_3x3", weights=file)
    assert layout(built.module) == torchvision_layout(largest=3)
    assert built.classes == 1000


def test_auxiliary_heads_answer_in_training_only():
    module = create(resolve("googlenet"), classes=5, auxiliary=True)
    x = torch.rand(2, 3, 224, 224)
    assert [scores.shape for scores in module(x)] == [(2, 5)] * 3
    sum(scores.sum() for scores in module(x)).backward()
    assert all(p.grad is not None for p in module.parameters())
    with torch.no_grad():
        assert module.eval()(x).shape == (2, 5)


def test_an_export_holds_no_auxiliary_head():
    names = [layer.name for layer in analysed("googlenet").layers]
    assert not [name for name in names if name.startswith("aux")]
    assert analysed("googlenet").parameters == parameters(shapes_only("googlenet"))


def test_images_are_normalised_as_torchvisions_transform_input_makes_them():
    wanted = resolve("googlenet_3x3").preprocessing
    assert (wanted.mean, wanted.std) == ((0.5,) * 3, (0.5,) * 3)


def test_an_inception_module_alone_shows_what_its_reductions_save():
    """The lectures' 358 million for the reduced module count its 3x3 convolution twice."""
    naive, reduced = analysed("inception_naive"), analysed("inception_reduced")
    assert round(naive.macs / 1e6) == 854
    assert round(reduced.macs / 1e6) == 271
    three = 28 * 28 * 64 * 3 * 3 * 192
    assert round((reduced.macs + three) / 1e6) == 358
    assert naive.layers[-1].output_shape == (1, 672, 28, 28)
    assert reduced.layers[-1].output_shape == (1, 480, 28, 28)


def test_a_1x1_bottleneck_makes_a_5x5_convolution_ten_times_cheaper():
    """Module 3a's: 192 maps to 32 through 16."""
    macs = {layer.name: layer.macs for layer in analysed("googlenet").layers}
    first, second = (macs[f"inception3a.branch3.{i}.conv"] for i in (0, 1))
    assert round(first / 1e6, 1) == 2.4
    assert round(second / 1e6) == 10
    assert round((first + second) / 1e6, 1) == 12.4
    with torch.device("meta"):
        direct = torch.export.export(
            nn.Conv2d(192, 32, 5, padding=2), (torch.empty(1, 192, 28, 28),)
        )
    assert round(analyse(direct).macs / 1e6) == 120
