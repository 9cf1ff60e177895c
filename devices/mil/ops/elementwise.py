"""Operators on each element: unary, binary, comparisons, selection, casts.

Formulas and parameter names are those of coremltools' MIL reference.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from devices.mil.ops.registry import op

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "identity": torch.clone,
    "logical_not": torch.logical_not,
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "pow": torch.pow,
    "sub": torch.sub,
}
CASTS = {
    "bool": torch.bool,
    "fp16": torch.float32,
    "fp32": torch.float32,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "uint16": torch.int32,
}


def _unary(compute: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def apply(x: Tensor) -> Tensor:
        return compute(x)

    return apply


def _binary(compute: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def apply(x: Tensor, y: Tensor) -> Tensor:
        return compute(x, y)

    return apply


for _name, _compute in UNARY.items():
    op(_name)(_unary(_compute))
for _name, _compute2 in BINARY.items():
    op(_name)(_binary(_compute2))


@op("real_div")
def real_div(x: Tensor, y: Tensor) -> Tensor:
    """Return ``x / y``; integers are divided towards zero."""
    if x.is_floating_point():
        return x / y
    return torch.div(x, y, rounding_mode="trunc")


@op("clip")
def clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Return `x` held between `alpha` and `beta`."""
    return x.clamp(alpha, beta)


@op("inverse")
def inverse(x: Tensor, epsilon: float = 1e-4) -> Tensor:
    """Return ``1 / (x + epsilon)``."""
    return 1 / (x + epsilon)


@op("rsqrt")
def rsqrt(x: Tensor, epsilon: float = 1e-12) -> Tensor:
    """Return ``1 / sqrt(x + epsilon)``."""
    return torch.rsqrt(x + epsilon)


@op("log")
def log(x: Tensor, epsilon: float = 1e-45) -> Tensor:
    """Return ``log(x + epsilon)``."""
    return torch.log(x + epsilon)


@op("threshold")
def threshold(x: Tensor, alpha: float) -> Tensor:
    """Return ``max(x, alpha)``."""
    return x.clamp(min=alpha)


@op("select")
def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return `a` where `cond` holds, else `b`."""
    return torch.where(cond.bool(), a, b)


@op("cast", result="dtype")
def cast(x: Tensor, dtype: str) -> Tensor:
    """Return `x` in another type; half precision is rounded to where results are."""
    return x.to(CASTS[dtype])
