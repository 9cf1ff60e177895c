"""Activations, as coremltools' MIL reference defines them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from devices.mil.errors import UnknownError
from devices.mil.ops.registry import op

GELU: dict[str, Callable[[Tensor], Tensor]] = {
    "EXACT": functional.gelu,
    "TANH_APPROXIMATION": lambda x: functional.gelu(x, approximate="tanh"),
    "SIGMOID_APPROXIMATION": lambda x: x * torch.sigmoid(1.702 * x),
}


def by_channel(values: Tensor, x: Tensor) -> Tensor:
    """Return one value a channel in a shape that meets ``(N, C, ...)``."""
    return values.reshape(-1, *[1] * (x.dim() - 2))


@op("relu")
def relu(x: Tensor) -> Tensor:
    """Return ``max(x, 0)``."""
    return functional.relu(x)


@op("relu6")
def relu6(x: Tensor) -> Tensor:
    """Return `x` held between 0 and 6."""
    return functional.relu6(x)


@op("clamped_relu")
def clamped_relu(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Return ``min(beta, x)``, negative values times `alpha`."""
    return torch.where(x >= 0, x, alpha * x).clamp(max=beta)


@op("elu")
def elu(x: Tensor, alpha: float) -> Tensor:
    """Return `x`, negative values as ``alpha * (exp(x) - 1)``."""
    return functional.elu(x, alpha)


@op("gelu")
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """Return ``x * Phi(x)``, exact or by one of two approximations."""
    if mode not in GELU:
        raise UnknownError(f"mode '{mode}' is not known here; known are {', '.join(GELU)}")
    return GELU[mode](x)


@op("leaky_relu")
def leaky_relu(x: Tensor, alpha: float) -> Tensor:
    """Return `x`, negative values times `alpha`."""
    return torch.where(x >= 0, x, alpha * x)


@op("prelu")
def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """Return `x`, negative values times their channel's `alpha`."""
    return torch.where(x >= 0, x, by_channel(alpha, x) * x)


@op("linear_activation")
def linear_activation(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Return ``alpha * x + beta``."""
    return alpha * x + beta


@op("scaled_tanh")
def scaled_tanh(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Return ``alpha * tanh(beta * x)``."""
    return alpha * torch.tanh(beta * x)


@op("sigmoid")
def sigmoid(x: Tensor) -> Tensor:
    """Return ``1 / (1 + exp(-x))``."""
    return torch.sigmoid(x)


@op("sigmoid_hard")
def sigmoid_hard(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Return ``alpha * x + beta`` held between 0 and 1."""
    return (alpha * x + beta).clamp(0, 1)


@op("silu")
def silu(x: Tensor) -> Tensor:
    """Return ``x * sigmoid(x)``."""
    return functional.silu(x)


@op("softplus")
def softplus(x: Tensor) -> Tensor:
    """Return ``log(1 + exp(x))``."""
    return torch.logaddexp(x, torch.zeros_like(x))


@op("softplus_parametric")
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Return ``alpha * log(1 + exp(beta * x))``, both by channel."""
    inner = by_channel(beta, x) * x
    return by_channel(alpha, x) * torch.logaddexp(inner, torch.zeros_like(x))


@op("softsign")
def softsign(x: Tensor) -> Tensor:
    """Return ``x / (1 + |x|)``."""
    return functional.softsign(x)


@op("thresholded_relu")
def thresholded_relu(x: Tensor, alpha: float) -> Tensor:
    """Return `x` where it is at least `alpha`, else 0."""
    return torch.where(x >= alpha, x, torch.zeros_like(x))


@op("softmax")
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return the exponentials along `axis` over their sum."""
    return torch.softmax(x, axis)
