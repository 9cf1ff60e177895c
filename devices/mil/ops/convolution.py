"""Convolutions and products of matrices, accumulated in float32."""

import torch
from torch import Tensor
from torch.nn import functional

from devices.mil.errors import UnknownError
from devices.mil.ops.registry import Ints, op
from devices.mil.ops.window import padding, surround

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


@op("conv")
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
) -> Tensor:
    """Return the convolution of ``(N, C, ...)`` with a weight ``(out, C / groups, ...)``."""
    ones = (1,) * (x.dim() - 2)
    strides, dilations = strides or ones, dilations or ones
    kernel = tuple(weight.shape[2:])
    window = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    sizes = tuple(x.shape[2:])
    pads = padding(pad_type, pad, sizes=sizes, window=window, strides=strides)
    even = all(before == after for before, after in pads)
    inner = tuple(before for before, _ in pads) if even else (0,) * len(pads)
    padded = x if even else surround(x, pads)
    compute = CONVOLUTIONS[len(ones)]
    return compute(padded, weight, bias, strides, inner, dilations, groups)


@op("conv_transpose")
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Ints | None = None,
    output_shape: Ints | None = None,
    pad_type: str = "valid",
    strides: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
) -> Tensor:
    """Return the transposed convolution with a weight ``(C, out / groups, ...)``.

    The full result is cropped by `pad`; `output_shape` says how much of its end is kept.

    Raises:
        MilError: padding other than valid or custom.
    """
    ones = (1,) * (x.dim() - 2)
    if pad_type not in {"valid", "custom"}:
        raise UnknownError(f"pad_type '{pad_type}' is not known here for conv_transpose")
    pads = padding(pad_type, pad, sizes=ones, window=ones, strides=ones)
    compute = TRANSPOSED[len(ones)]
    full = compute(x, weight, bias, strides or ones, 0, 0, groups, dilations or ones)
    kept = output_shape[2:] if output_shape else None
    for axis, (before, after) in enumerate(pads):
        size = kept[axis] if kept else full.shape[axis + 2] - before - after
        full = full.narrow(axis + 2, before, size)
    return full


@op("linear")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x @ weight.T + bias``."""
    return functional.linear(x, weight, bias)


@op("matmul")
def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Return the product of the last two axes, the others broadcast."""
    return torch.matmul(x.mT if transpose_x else x, y.mT if transpose_y else y)


@op("einsum")
def einsum(values: list[Tensor], equation: str) -> Tensor:
    """Return the sum of products that `equation` describes."""
    product: Tensor = torch.einsum(equation, *values)
    return product


@op("scaled_dot_product_attention")
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """Return ``softmax(query @ key.T / sqrt(depth) + attn_mask) @ value``."""
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return torch.softmax(scores, -1) @ value
