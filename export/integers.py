"""Real numbers as integers: which scale and zero point, and what saturates where.

A real value is ``(integer - zero point) * scale``. Activations are uint8 with a zero point, by
tensor; weights are int8 or int4 without, by output channel or by block of inputs.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
INT4_BLOCK = 32
# x86 processors without VNNI multiply uint8 by int8 in pairs and add the two products in 16 bits
# (PMADDUBSW), saturating: 255 * 129 is beyond 32767.
PAIR_LIMIT = 128
# A bias is int32 at the product of both scales; two bits are left for the sum of products.
BIAS_LIMIT = 2**29


def activation(low: float, high: float) -> tuple[np.float32, int]:
    """Return scale and uint8 zero point for values of a range, which is widened to hold zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255 or 1.0)
    return scale, int(np.clip(np.rint(-low / scale), 0, 255))


def quantized(values: Array, scale: np.float32, zero_point: int) -> npt.NDArray[np.uint8]:
    """Return uint8 values, rounded half to even and clipped."""
    stored: npt.NDArray[np.uint8] = np.clip(np.rint(values / scale) + zero_point, 0, 255).astype(
        np.uint8
    )
    return stored


def channels(
    weights: Array, axis: int, floor: Array | float = 0.0, *, pairs: bool = False
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return int8 weights in [-127, 127], and a scale for each channel along `axis`.

    Args:
        weights: of any shape; of a convolution ``(O, I, H, W)``.
        axis: the output channels.
        floor: the least scale of a channel, where a bias asks for one.
        pairs: make scales so wide that no pair of neighbouring inputs saturates (`PAIR_LIMIT`).
    """
    rows = np.moveaxis(weights, axis, 0)
    # A convolution's inputs are multiplied in the order H, W, I.
    flat = np.moveaxis(rows, 1, -1).reshape(len(rows), -1).astype(np.float64)
    reach = np.abs(flat).max(axis=1)
    scale = np.maximum(reach / 127, floor)
    if pairs:
        scale = np.maximum(scale, _pair_sums(flat) / (PAIR_LIMIT - 1))
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    spread = scale.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
    return np.clip(np.rint(weights / spread), -127, 127).astype(np.int8), scale


def _pair_sums(flat: Array) -> Array:
    """Return each row's largest sum of equal signs of inputs 2i and 2i + 1, as a magnitude."""
    even = flat if flat.shape[1] % 2 == 0 else np.pad(flat, ((0, 0), (0, 1)))
    first, second = even[:, ::2], even[:, 1::2]
    above = (np.maximum(first, 0) + np.maximum(second, 0)).max(axis=1)
    below = (np.maximum(-first, 0) + np.maximum(-second, 0)).max(axis=1)
    sums: Array = np.maximum(above, below)
    return sums


def block_size(inputs: int) -> int:
    """Return the largest number of inputs, up to 32, that divides them without rest."""
    return max(size for size in range(1, INT4_BLOCK + 1) if inputs % size == 0)


def blocks(
    weights: Array, axis: int, size: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return 4-bit weights in [-7, 7], in int8, and a scale for each `size` inputs along `axis`.

    Both have one axis more, after `axis`: of length `size`, and of length 1.
    """
    shape = weights.shape
    grouped = weights.reshape(*shape[:axis], -1, size, *shape[axis + 1 :])
    reach = np.abs(grouped).max(axis=axis + 1, keepdims=True)
    scale = np.where(reach > 0, reach / 7, 1.0).astype(np.float32)
    return np.clip(np.rint(grouped / scale), -7, 7).astype(np.int8), scale
