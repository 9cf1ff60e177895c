"""Multiply-accumulates of one operator: a multiplication and its addition count as 1."""

import math
from collections.abc import Callable

from torch.fx import Node

from models.operators import elements, operator_name, shape_of, tensor_argument


def macs_of(node: Node) -> int:
    """Return the multiply-accumulates of a convolution or matrix product, 0 of all else."""
    count = _MACS.get(operator_name(node))
    return count(node) if count else 0


def _convolution(node: Node) -> int:
    """Each output value is a sum over the filter's window and its group's channels."""
    if operator_name(node) == "convolution" and node.args[6]:
        return _transposed(node)
    return elements(node) * math.prod((shape_of(tensor_argument(node, 1)) or ())[1:])


def _transposed(node: Node) -> int:
    """Each input value is spread over the filter's window and its group's output channels."""
    return elements(tensor_argument(node, 0)) * math.prod(
        (shape_of(tensor_argument(node, 1)) or ())[1:]
    )


def _product(left: int) -> Callable[[Node], int]:
    """Count a matrix product whose left factor is argument `left`: outputs times its columns."""
    return lambda node: elements(node) * (shape_of(tensor_argument(node, left)) or (1,))[-1]


def _attention(node: Node) -> int:
    """Queries times keys, then the weights times values."""
    query, key, value = (shape_of(tensor_argument(node, position)) or () for position in range(3))
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


_MACS: dict[str, Callable[[Node], int]] = {
    "addmm": _product(1),
    "baddbmm": _product(1),
    "bmm": _product(0),
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "conv_transpose1d": _transposed,
    "conv_transpose2d": _transposed,
    "conv_transpose3d": _transposed,
    "convolution": _convolution,
    "linear": _product(0),
    "matmul": _product(0),
    "mm": _product(0),
    "scaled_dot_product_attention": _attention,
}
