"""Quantized activations (iOS 17): ``stored = clip(round(real / scale) + zero_point)``."""

import torch
from torch import Tensor

from devices.mil.errors import MilError, UnknownError
from devices.mil.ops.registry import op

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
STORES = {"int8": torch.int8, "uint8": torch.uint8}


@op("quantize", result="output_dtype")
def quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """Return `input` as integers, rounded half to even; scales may go by `axis`.

    Raises:
        MilError: a type other than int8 and uint8.
    """
    rounded = _rounded(input, scale, zero_point, axis)
    return rounded.clamp(*_limits(output_dtype)).to(STORES[output_dtype])


def linear_quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """Return what `quantize` does without rounding and clipping, so that only its scales show."""
    real = input / _along(scale, input, axis)
    return real if zero_point is None else real + _along(zero_point, input, axis)


def saturation(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: int | None = None,
) -> float:
    """Return the share of values that `quantize` clips."""
    low, high = _limits(output_dtype)
    rounded = _rounded(input, scale, zero_point, axis)
    return float(((rounded < low) | (rounded > high)).float().mean())


@op("dequantize", result="scale")
def dequantize(
    input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: int | None = None
) -> Tensor:
    """Return ``(input - zero_point) * scale``."""
    stored = input.float()
    if zero_point is not None:
        stored = stored - _along(zero_point, input, axis)
    return stored * _along(scale, input, axis)


def _rounded(x: Tensor, scale: Tensor, zero_point: Tensor | None, axis: int | None) -> Tensor:
    rounded = torch.round(x / _along(scale, x, axis))
    return rounded if zero_point is None else rounded + _along(zero_point, x, axis)


def _limits(dtype: str) -> tuple[int, int]:
    if dtype not in LIMITS:
        raise UnknownError(f"output_dtype '{dtype}' is not known here")
    return LIMITS[dtype]


def _along(values: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """Return a scalar as it is, and a vector in a shape that meets `axis` of `x`."""
    values = values.float()
    if values.dim() == 0:
        return values
    if axis is None or values.shape != (x.shape[axis],):
        raise MilError(f"{list(values.shape)} scales or zero points do not fit axis {axis}")
    return values.reshape([-1 if a == axis % x.dim() else 1 for a in range(x.dim())])
