"""Pooling over windows, with Core ML's rules for padding and for windows that do not fit."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from devices.mil.ops.registry import Ints, op
from devices.mil.ops.window import Pads, padding, surround

MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
MEANS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


@dataclass(frozen=True)
class _Windows:
    """Where the windows lie: what is padded as asked, and what a last, incomplete window adds."""

    strides: Ints
    asked: Pads
    whole: Pads


def _windows(
    x: Tensor,
    kernel: Ints,
    strides: Ints | None,
    pad_type: str,
    pad: Ints | None,
    ceil_mode: bool,
) -> _Windows:
    strides, sizes = strides or (1,) * len(kernel), tuple(x.shape[2:])
    asked = padding(pad_type, pad, sizes=sizes, window=kernel, strides=strides)
    whole = asked
    if ceil_mode:
        pairs = zip(sizes, kernel, strides, asked, strict=True)
        whole = [(before, after + _overhang(n, k, s, before, after))
                 for n, k, s, (before, after) in pairs]  # fmt: skip
    return _Windows(strides, asked, whole)


def _overhang(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Return what a last window reaches beyond the padding; it must begin inside what precedes."""
    padded = size + before + after
    last = -(-(padded - kernel) // stride)
    if last * stride >= size + before:
        last -= 1
    return max(last * stride + kernel - padded, 0)


@op("max_pool")
def max_pool(
    x: Tensor,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints | None = None,
    pad: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the largest value of each window; padding never is."""
    found = _windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    padded = surround(x, found.whole, -math.inf)
    return MAXIMA[len(kernel_sizes)](padded, kernel_sizes, found.strides)


@op("avg_pool")
def avg_pool(
    x: Tensor,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints | None = None,
    pad: Ints | None = None,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the mean of each window.

    Padding counts as zeros unless it is excluded; what a last, incomplete window reaches beyond it
    never counts.
    """
    found = _windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    mean = MEANS[len(kernel_sizes)]
    summed = mean(surround(x, found.whole), kernel_sizes, found.strides)
    ones = torch.ones((1, 1, *x.shape[2:]))
    if not exclude_padding_from_average:
        ones = surround(ones, found.asked, 1.0)
    grown = zip(found.whole, found.asked, strict=True)
    beyond = [(0, w[1] - a[1]) for w, a in grown]
    counted = surround(ones, found.whole if exclude_padding_from_average else beyond)
    return summed / mean(counted, kernel_sizes, found.strides)


@op("l2_pool")
def l2_pool(
    x: Tensor,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints | None = None,
    pad: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the root of the sum of squares of each window."""
    found = _windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    mean = MEANS[len(kernel_sizes)](surround(x * x, found.whole), kernel_sizes, found.strides)
    return torch.sqrt(mean * math.prod(kernel_sizes))
