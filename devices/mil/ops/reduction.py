"""Reductions over axes, sorting, and cumulative sums."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from devices.mil.ops.elementwise import CASTS
from devices.mil.ops.registry import Ints, op

Reduce = Callable[[Tensor, list[int], bool], Tensor]


def _prod(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


REDUCTIONS: dict[str, Reduce] = {
    "reduce_l1_norm": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "reduce_l2_norm": lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt(),
    "reduce_log_sum": lambda x, axes, keep: x.sum(axes, keepdim=keep).log(),
    "reduce_log_sum_exp": torch.logsumexp,
    "reduce_max": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "reduce_mean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "reduce_min": lambda x, axes, keep: x.amin(axes, keepdim=keep),
    "reduce_prod": _prod,
    "reduce_sum": lambda x, axes, keep: x.sum(axes, keepdim=keep, dtype=x.dtype),
    "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keepdim=keep, dtype=x.dtype),
}


def _over_axes(reduce: Reduce) -> Callable[..., Tensor]:
    def apply(x: Tensor, axes: Ints | None = None, keep_dims: bool = False) -> Tensor:
        over = range(x.dim()) if axes is None else axes
        return reduce(x, [axis % x.dim() for axis in over], keep_dims)

    return apply


for _name, _reduce in REDUCTIONS.items():
    op(_name)(_over_axes(_reduce))


def _at_best(find: Callable[..., Any]) -> Callable[..., Tensor]:
    def apply(
        x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32"
    ) -> Tensor:
        found: Tensor = find(x, axis, keepdim=keep_dims)
        return found.to(CASTS[output_dtype])

    return apply


op("reduce_argmax")(_at_best(torch.argmax))
op("reduce_argmin")(_at_best(torch.argmin))


@op("argsort")
def argsort(x: Tensor, axis: int = -1, ascending: bool = False) -> Tensor:
    """Return the places of the values in order."""
    return torch.argsort(x, dim=axis, descending=not ascending, stable=True).int()


@op("topk")
def topk(
    x: Tensor,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> list[Tensor]:
    """Return the `k` largest values along `axis` (smallest if `ascending`) and their places."""
    values, places = torch.topk(x, k, axis, largest=not ascending, sorted=sort)
    return [values, places.to(CASTS[output_indices_dtype])] if return_indices else [values]


@op("cumsum")
def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Return running sums along `axis`: from its end, or each without itself, if asked."""
    ordered = x.flip(axis) if reverse else x
    total = ordered.cumsum(axis, dtype=x.dtype)
    total = total - ordered if exclusive else total
    return total.flip(axis) if reverse else total
