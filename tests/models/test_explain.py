"""The four blocks against their formulas and against the figures that are quoted for them."""

import pytest

from models.cli_explain import NAMES
from models.explain import BLOCKS, bottleneck, count, depthwise, inception, stack3x3


def macs(block):
    plain, cheap = count(block)
    return plain.macs, cheap.macs


def test_the_command_knows_every_block():
    assert list(BLOCKS) == NAMES


@pytest.mark.parametrize("name", BLOCKS)
def test_the_formula_gives_what_is_counted(name):
    block = BLOCKS[name]()
    plain, cheap = count(block)
    assert cheap.macs / plain.macs == pytest.approx(block.predicted, rel=1e-12)
    assert block.name == name


@pytest.mark.parametrize(("channels", "kernel"), [(64, 3), (512, 3), (256, 5)])
def test_depthwise_separable_costs_1_over_n_plus_1_over_k_squared(channels, kernel):
    plain, cheap = macs(depthwise(channels, kernel=kernel))
    assert cheap / plain == pytest.approx(1 / channels + 1 / kernel**2)


def test_the_bottleneck_takes_12_4_million_instead_of_120():
    plain, cheap = macs(bottleneck())
    assert plain == 28 * 28 * 192 * 32 * 25 == 120_422_400
    assert cheap == 28 * 28 * (192 * 16 + 16 * 32 * 25) == 12_443_648


@pytest.mark.parametrize("channels", [16, 64])
def test_three_3x3_have_27_c2_weights_against_49_and_see_as_much(channels):
    plain, cheap = count(stack3x3(channels))
    assert (plain.parameters, cheap.parameters) == (49 * channels**2, 27 * channels**2)
    assert plain.layers[-1].receptive_field == cheap.layers[-1].receptive_field == (7, 7)


def test_the_naive_inception_module_takes_854_million_and_grows_to_672_channels():
    plain, cheap = count(inception())
    assert round(plain.macs / 1e6) == 854
    assert plain.layers[-1].output_shape == (1, 672, 28, 28)
    assert cheap.layers[-1].output_shape == (1, 480, 28, 28)


def test_with_reductions_inception_takes_271_million():
    """The lectures' 358M is their own list of convolutions with the 3x3 counted twice."""
    _, cheap = macs(inception())
    assert round(cheap / 1e6) == 271
    three_by_three = 28 * 28 * 192 * 64 * 9
    assert round((cheap + three_by_three) / 1e6) == 358
