"""Each cause, in a network that was broken so: the weak layer comes first, and is told why."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from export import causes
from export.causes import SOUND_DB
from export.figures import Tally
from export.trace import Grid, grid
from tests.export import weak


def test_a_sound_network_has_no_weak_layer(tmp_path: Path) -> None:
    module = weak.network()
    for path, precision in (
        (weak.int8(module, tmp_path, calibrated_on=weak.images()), "int8"),
        (weak.half(module, tmp_path), "fp16"),
    ):
        found = weak.diagnose(module, path, weak.images())
        assert all(causes.is_sound(layer, precision) for layer in found.layers)
        assert weak.causes(found, weak.DEPTHWISE, precision) == []


def outlier_channel(module: nn.Sequential) -> None:
    module[0].weight[3] *= 300
    module[2].weight[3] /= 300


def test_a_channel_that_sets_the_range_of_all_is_named(tmp_path: Path) -> None:
    module = weak.broken(outlier_channel)
    path = weak.int8(module, tmp_path, calibrated_on=weak.images())
    found = weak.diagnose(module, path, weak.images())
    worst = found.ranked[0]
    assert worst.pair.layer.name == weak.FIRST
    (cause,) = weak.causes(found, weak.FIRST)
    assert cause.name == "outlier channel"
    assert cause.told.startswith("channel 3 is")
    assert cause.remedy == "--keep-float 0,next or --calibration-method percentile"
    (tried,) = weak.causes(found, weak.FIRST, method="percentile")
    assert tried.remedy == "--keep-float 0,next"
    # Of its own the layer is as good as any: the loud channel drowns what was lost in the others.
    assert worst.tally is not None
    assert worst.tally.own_db is not None
    assert worst.output_db is not None
    assert worst.tally.own_db > SOUND_DB["int8"] > worst.output_db


def uneven_channels(module: nn.Sequential) -> None:
    module[2].weight[5] *= 200
    module[4].weight[:, 5] /= 200


def test_a_depthwise_layer_with_one_scale_for_all_channels_is_named(tmp_path: Path) -> None:
    module = weak.broken(uneven_channels)
    path = weak.int8(module, tmp_path, per_channel=False, calibrated_on=weak.images())
    found = weak.diagnose(module, path, weak.images())
    assert found.ranked[0].pair.layer.name == weak.DEPTHWISE
    cause = weak.causes(found, weak.DEPTHWISE)[0]
    assert cause.name == "per-tensor weights"
    assert cause.told.startswith("one scale for 8 channels")


def outlier_weight(module: nn.Sequential) -> None:
    module[0].weight[3] = 0
    module[0].bias[3] = 0.001
    module[4].weight[:, 3] = 300


def test_a_weight_that_rounds_the_others_away_is_named(tmp_path: Path) -> None:
    module = weak.broken(outlier_weight)
    module[2].weight[3] = 0.001
    path = weak.int8(module, tmp_path, calibrated_on=weak.images())
    found = weak.diagnose(module, path, weak.images())
    assert found.ranked[0].pair.layer.name == weak.POINTWISE
    cause = weak.causes(found, weak.POINTWISE)[0]
    assert cause.name == "outlier weight"
    assert cause.told.endswith("x the median one")
    assert cause.remedy == "--keep-float 4"


def test_values_beyond_the_calibrated_range_are_saturation(tmp_path: Path) -> None:
    module = weak.network()
    path = weak.int8(module, tmp_path, calibrated_on=weak.images() / 8)
    found = weak.diagnose(module, path, weak.images())
    names = {f.pair.layer.name: weak.causes(found, f.pair.layer.name) for f in found.layers}
    assert names["input_1"][0].name == "saturation"
    assert names["input_1"][0].remedy.startswith("calibrate with more images")
    assert names[weak.LAST] == [] or names[weak.LAST][0].name == "saturation"


def test_a_range_far_wider_than_what_is_used_is_waste(tmp_path: Path) -> None:
    module = weak.network()
    path = weak.int8(module, tmp_path, calibrated_on=64 * weak.images())
    found = weak.diagnose(module, path, weak.images())
    (cause,) = weak.causes(found, weak.FIRST)
    assert cause.name == "wasted range"
    assert "preprocessing" in cause.remedy


def overflow(module: nn.Sequential) -> None:
    module[2].weight *= 1e6
    module[4].weight /= 1e6


def test_what_float16_cannot_hold_is_an_overflow(tmp_path: Path) -> None:
    module = weak.broken(overflow)
    found = weak.diagnose(module, weak.half(module, tmp_path), weak.images())
    assert found.ranked[0].pair.layer.name in {weak.DEPTHWISE, weak.POINTWISE}
    assert weak.causes(found, weak.DEPTHWISE, "fp16")[0].name == "float16 overflow"


def faint(module: nn.Sequential) -> None:
    module[2].weight *= 1e-7
    module[4].weight *= 3e4


def test_what_float16_makes_zero_is_an_underflow(tmp_path: Path) -> None:
    module = weak.broken(faint)
    found = weak.diagnose(module, weak.half(module, tmp_path), weak.images())
    assert "float16 underflow" in [c.name for c in weak.causes(found, weak.DEPTHWISE, "fp16")]


def exchanged(module: nn.Sequential) -> None:
    module[4].weight.copy_(torch.randn(16, 8, 1, 1))


def displaced(module: nn.Sequential) -> None:
    module[4].bias += 20


@pytest.mark.parametrize(("change", "what"), [(exchanged, "weights"), (displaced, "values")])
def test_what_no_rounding_does_is_another_network(change, what: str, tmp_path: Path) -> None:
    path = weak.int8(weak.broken(change), tmp_path, calibrated_on=weak.images())
    found = weak.diagnose(weak.network(), path, weak.images())
    (cause,) = weak.causes(found, weak.POINTWISE)
    assert cause.name == "other numbers"
    assert cause.told.startswith(f"its {what} are other numbers than the network's, -")
    assert "--model" in cause.remedy


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounded_weights_are_the_networks_however_few_bits_they_have(bits: int) -> None:
    weight = np.random.default_rng(0).standard_t(2, (64, 32))
    scale = np.abs(weight).max() / (2 ** (bits - 1) - 1)
    assert causes.unlike_weights(weight, np.round(weight / scale) * scale) is None
    assert causes.unlike_weights(weight, weight[::-1]) == pytest.approx(-3, abs=0.5)


@pytest.mark.parametrize(
    ("error", "from_weights", "level"), [(0.9, 0, 0.92), (0.4, 0, None), (0.9, 0.81, None)]
)
def test_a_bit_that_rounding_leaves_is_told_from_less(
    error: float, from_weights: float, level: float | None
) -> None:
    tally = Tally(energy=1.0, noise=np.array([error**2]), weight_noise=from_weights, values=1)
    found = causes.unlike_values(tally, causes.HARDLY_ROUNDING_DB)
    assert found == (None if level is None else pytest.approx(level, abs=0.01))


def test_a_bias_of_a_channel_without_weights_does_not_fit_into_32_bits() -> None:
    """A batch norm can fold to a channel of nearly no weight and a bias: so small is its scale."""
    weight = np.array([[1.0, -0.5], [1e-12, 2e-12]])
    scales = 0.02 * np.abs(weight).max(axis=1) / 127
    assert causes.overflowing_biases(np.array([3.0, 3.0]), scales) == [1]
    assert causes.overflowing_biases(np.array([3.0, 0.0]), scales) == []


def test_a_channel_that_became_constant_counts_if_it_makes_the_noise() -> None:
    low, high = np.zeros(3), np.array([1.0, 1.0, 0.0])
    got_low, got_high = np.zeros(3), np.array([1.0, 0.0, 0.0])
    assert causes.lost_channels(low, high, got_low, got_high, np.array([1.0, 2.0, 0.0])) == [1]
    assert causes.lost_channels(low, high, got_low, got_high, np.array([9.0, 0.1, 0.0])) == []


@pytest.mark.parametrize(("used", "factor"), [(1.0, 8.0), (4.0, None), (0.0, None)])
def test_two_unused_bits_are_waste(used: float, factor: float | None) -> None:
    held = Grid(0.0, 8.0, 8 / 255)
    assert causes.wasted_range(np.zeros(4), np.full(4, used), held) == factor


def test_a_channels_range_reaches_to_zero_as_its_grid_does() -> None:
    low, high = np.array([9.0, 9.0, 9.0, 9.0]), np.array([10.0, 10.0, 10.0, 10.5])
    assert causes.outlier_channel(low, high) is None
    assert causes.outlier_channel(low * 0, high * [1, 1, 1, 8]) == (3, 8.4)


def test_a_grid_is_what_integers_stand_for() -> None:
    assert grid(0.5, -128, -128, 127) == Grid(0.0, 127.5, 0.5)
