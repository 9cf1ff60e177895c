"""Normalisations, as coremltools' MIL reference defines them."""

import torch
from torch import Tensor
from torch.nn import functional

from devices.mil.ops.activation import by_channel
from devices.mil.ops.registry import Ints, op


def _scaled(x: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
    x = x if gamma is None else x * gamma
    return x if beta is None else x + beta


@op("batch_norm")
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """Return ``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, by channel."""
    centred = x - by_channel(mean, x)
    normed = centred * torch.rsqrt(by_channel(variance, x) + epsilon)
    scales = [None if v is None else by_channel(v, x) for v in (gamma, beta)]
    return _scaled(normed, scales[0], scales[1])


@op("instance_norm")
def instance_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5
) -> Tensor:
    """Normalise each channel of each image over its spatial axes."""
    return functional.instance_norm(x, weight=gamma, bias=beta, eps=epsilon)


@op("layer_norm")
def layer_norm(
    x: Tensor,
    axes: Ints | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """Normalise over `axes`, all of them if None; `gamma` and `beta` have the shape of those."""
    over = sorted(axis % x.dim() for axis in (axes if axes is not None else range(x.dim())))
    centred = x - x.mean(over, keepdim=True)
    normed = centred * torch.rsqrt(centred.square().mean(over, keepdim=True) + epsilon)
    shape = [size if axis in over else 1 for axis, size in enumerate(x.shape)]
    scales = [None if v is None else v.reshape(shape) for v in (gamma, beta)]
    return _scaled(normed, scales[0], scales[1])


@op("l2_norm")
def l2_norm(x: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Return `x` over the root of its sum of squares, over the last three axes."""
    over = list(range(max(x.dim() - 3, 0), x.dim()))
    return x * torch.rsqrt(x.square().sum(over, keepdim=True) + epsilon)


@op("local_response_norm")
def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Return ``x / (k + alpha / size * sum of squares over size channels)**beta``.

    Krizhevsky et al. (2012), section 3.3, with `alpha` over `size` as in torch.
    """
    return functional.local_response_norm(x, size, alpha, beta, k)
