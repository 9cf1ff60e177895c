"""MobileNet v3 against torchvision's parameters and the published counts."""

import pytest
from torch import nn

from models.mobilenet_v3 import InvertedResidual
from tests.models.networks import analysed, layout, norm, parameters, shapes_only

# Tables 1 and 2 as kernel, expanded, out, and the squeezed channels where there are any.
LARGE = [
    *((3, 16, 16, 0), (3, 64, 24, 0), (3, 72, 24, 0), (5, 72, 40, 24), (5, 120, 40, 32)),
    *((5, 120, 40, 32), (3, 240, 80, 0), (3, 200, 80, 0), (3, 184, 80, 0), (3, 184, 80, 0)),
    *((3, 480, 112, 120), (3, 672, 112, 168), (5, 672, 160, 168), (5, 960, 160, 240)),
    (5, 960, 160, 240),
]
SMALL = [
    *((3, 16, 16, 8), (3, 72, 24, 0), (3, 88, 24, 0), (5, 96, 40, 24), (5, 240, 40, 64)),
    *((5, 240, 40, 64), (5, 120, 48, 32), (5, 144, 48, 40), (5, 288, 96, 72), (5, 576, 96, 144)),
    (5, 576, 96, 144),
]


def torchvision_layout(blocks, hidden):
    expected = [("features.0.0.weight", (16, 3, 3, 3)), *norm("features.0.1", 16)]
    before = 16
    for index, (kernel, inside, out, squeezed) in enumerate(blocks, 1):
        parts = [[(inside, before, 1, 1)]] if inside != before else []
        parts.append([(inside, 1, kernel, kernel)])
        if squeezed:
            parts.append([(squeezed, inside, 1, 1), (inside, squeezed, 1, 1)])
        parts.append([(out, inside, 1, 1)])
        for n, shapes in enumerate(parts):
            expected += part(f"features.{index}.block.{n}", shapes)
        before = out
    last = f"features.{len(blocks) + 1}"
    expected += part(last, [(6 * before, before, 1, 1)])
    for place, shape in ((0, (hidden, 6 * before)), (3, (1000, hidden))):
        expected += [(f"classifier.{place}.weight", shape), (f"classifier.{place}.bias", shape[:1])]
    return expected


def part(prefix, shapes):
    """A convolution with its norm, or the two of squeeze-and-excitation with biases."""
    if len(shapes) == 1:
        return [(f"{prefix}.0.weight", shapes[0]), *norm(f"{prefix}.1", shapes[0][0])]
    return [
        row
        for n, shape in enumerate(shapes, 1)
        for row in ((f"{prefix}.fc{n}.weight", shape), (f"{prefix}.fc{n}.bias", shape[:1]))
    ]


@pytest.mark.parametrize(
    ("size", "blocks", "hidden", "total"),
    [("small", SMALL, 1024, 2_542_856), ("large", LARGE, 1280, 5_483_032)],
)
def test_it_has_torchvisions_state_dict(size, blocks, hidden, total):
    module = shapes_only(f"mobilenet_v3_{size}")
    assert layout(module) == torchvision_layout(blocks, hidden)
    assert parameters(module) == total


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("small_1.0", 56),
        pytest.param("small_0.75", 44, marks=pytest.mark.slow),
        pytest.param("large_1.0", 219, marks=pytest.mark.slow),
        pytest.param("large_0.75", 155, marks=pytest.mark.slow),
    ],
)
def test_it_has_the_macs_of_table_3(name, millions):
    """The paper counts some operations that are no MACs: 219 where the convolutions have 217."""
    assert analysed(f"mobilenet_v3_{name}_224").macs / 1e6 == pytest.approx(millions, rel=0.015)


@pytest.mark.parametrize(("size", "millions"), [("small", 2.0), ("large", 4.0)])
def test_three_quarters_of_the_width_have_the_parameters_of_table_3(size, millions):
    assert round(parameters(shapes_only(f"mobilenet_v3_{size}_0.75")) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("size", "strides", "relu"),
    [
        ("small", [2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1], 3),
        ("large", [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1], 6),
    ],
)
def test_strides_and_activations_follow_tables_1_and_2(size, strides, relu):
    blocks = list(shapes_only(f"mobilenet_v3_{size}").features)[1:-1]
    depthwise = [
        m for b in blocks for m in b.modules() if isinstance(m, nn.Conv2d) and m.groups > 1
    ]
    assert [m.stride[0] for m in depthwise] == strides
    hard = [any(isinstance(m, nn.Hardswish) for m in b.modules()) for b in blocks]
    assert hard == [False] * relu + [True] * (len(blocks) - relu)


def test_batch_norm_has_the_epsilon_of_the_released_weights():
    norms = [
        m for m in shapes_only("mobilenet_v3_small").modules() if isinstance(m, nn.BatchNorm2d)
    ]
    assert {m.eps for m in norms} == {1e-3}


def test_an_input_is_added_where_the_shape_stays():
    blocks = [
        b for b in shapes_only("mobilenet_v3_large").features if isinstance(b, InvertedResidual)
    ]
    adds = [b.adds for b in blocks]
    assert adds == [
        True,
        False,
        True,
        False,
        True,
        True,
        False,
        *[True] * 3,
        False,
        True,
        False,
        *[True] * 2,
    ]
