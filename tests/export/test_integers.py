"""Scales and zero points, and the sums that must not saturate."""

import numpy as np
import pytest

from export import integers


def test_an_activation_s_range_always_holds_zero_exactly() -> None:
    for low, high in ((0.5, 3.0), (-2.0, -1.0), (-1.0, 3.0)):
        scale, zero = integers.activation(low, high)
        assert 0 <= zero <= 255
        assert integers.quantized(np.zeros(1), scale, zero)[0] == zero
        reach = (np.array([min(low, 0), max(high, 0)]) / scale).round() + zero
        assert (reach >= -1).all()
        assert (reach <= 256).all()


def test_a_tensor_that_is_always_zero_has_a_scale_all_the_same() -> None:
    assert integers.activation(0.0, 0.0) == (1.0, 0)


@pytest.mark.parametrize("shape", [(8, 6, 3, 3), (8, 1, 3, 3), (8, 7)])
def test_weights_come_back_within_half_a_step_of_their_channel(shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    stored, scale = integers.channels(weights, 0)
    step = scale.reshape(-1, *[1] * (len(shape) - 1))
    assert np.abs(stored * step - weights).max() <= 0.501 * scale.max()
    assert (np.abs(stored).reshape(8, -1).max(axis=1) == 127).all()


def test_no_two_products_saturate_sixteen_bits() -> None:
    weights = np.random.default_rng(0).normal(size=(64, 5, 3, 3)).astype(np.float32)
    plain, _ = integers.channels(weights, 0)
    safe, _ = integers.channels(weights, 0, pairs=True)
    assert _largest_sum(plain) > 2**15 - 1
    assert _largest_sum(safe) <= 2**15 - 1
    # Dearer would be 7 bits for every channel, which is what the runtimes advise.
    assert np.abs(safe).max() > 64


def _largest_sum(stored: np.ndarray) -> int:
    """Return the largest sum of two neighbouring products with activations of 255."""
    flat = np.moveaxis(stored, 1, -1).reshape(len(stored), -1).astype(int)
    pairs = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2))).reshape(len(flat), -1, 2)
    same = [np.maximum(sign * pairs, 0).sum(-1).max() for sign in (1, -1)]
    return int(255 * max(same))


def test_a_channel_of_zeros_and_a_bias_s_floor_have_a_scale() -> None:
    weights = np.zeros((2, 4), np.float32)
    assert integers.channels(weights, 0)[1].tolist() == [1.0, 1.0]
    assert integers.channels(weights, 0, np.array([0.5, 0.0]))[1].tolist() == [0.5, 1.0]


def test_blocks_have_their_own_scales() -> None:
    weights = np.repeat([[1.0, 100.0]], 32, axis=1).reshape(1, 64, 1, 1).astype(np.float32)
    weights = np.sort(weights, axis=1)
    values, scale = integers.blocks(weights, 1, integers.block_size(64))
    assert values.shape == (1, 2, 32, 1, 1)
    assert np.allclose((values * scale).reshape(weights.shape), weights)
    assert [integers.block_size(n) for n in (3, 24, 144, 960)] == [3, 24, 24, 32]
