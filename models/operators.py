"""What an operator of a program is: its kind, its shapes, its place among the modules."""

import math
import operator

from torch import SymInt, Tensor
from torch.fx import Node

VIEWS = {
    *("_unsafe_view", "alias", "chunk", "clone", "contiguous", "detach", "dropout", "expand"),
    *("flatten", "getitem", "narrow", "permute", "reshape", "select", "slice", "split"),
    *("split_with_sizes", "squeeze", "t", "transpose", "unbind", "unflatten", "unsqueeze", "view"),
}
IN_PLACE = {
    *("add", "batch_norm", "clamp", "clamp_max", "clamp_min", "div", "elu", "gelu"),
    *("hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mul", "relu", "relu6", "sigmoid"),
    *("silu", "sub", "tanh"),
}
SYNONYMS = {
    "_native_batch_norm_legit_no_training": "batch_norm",
    "addmm": "linear",
    "conv1d": "conv",
    "conv2d": "conv",
    "conv3d": "conv",
    "convolution": "conv",
    "max_pool2d_with_indices": "max_pool2d",
    "native_batch_norm": "batch_norm",
}


def operator_name(node: Node) -> str:
    """Return the operator's name without its namespace and overload."""
    name = str(getattr(node.target, "overloadpacket", node.target)).rpartition(".")[2]
    return "getitem" if node.target is operator.getitem else name.rstrip("_")


def kind_of(node: Node) -> str:
    """Return the operator's name as people say it, whatever the program's dialect."""
    name = SYNONYMS.get(operator_name(node), operator_name(node))
    if name == "hardtanh" and node.args[1:] == (0.0, 6.0):
        return "relu6"
    return "depthwise conv" if name == "conv" and _is_depthwise(node) else name


def is_view(node: Node) -> bool:
    """Tell whether the operator only looks at its input's memory in another way."""
    return node.op == "call_function" and kind_of(node) in VIEWS


def storage_of(node: Node) -> Node:
    """Return the node whose memory `node` looks at: itself, if it is no view."""
    while is_view(node):
        node = node.all_input_nodes[0]
    return node


def _is_depthwise(node: Node) -> bool:
    weight, inputs = shape_of(tensor_argument(node, 1)), shape_of(tensor_argument(node, 0))
    return bool(weight and inputs and weight[1] == 1 < inputs[1])


def module_of(node: Node) -> str:
    """Return the path of the innermost module that the operator comes from."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return (stack[-1][0] if stack else "") or node.name


def tensor_argument(node: Node, position: int) -> Node:
    """Return the operand at `position`, counting tensors only."""
    return [a for a in node.args if isinstance(a, Node)][position]


def shape_of(node: Node) -> tuple[int, ...] | None:
    """Return the shape of what `node` computes first, its dynamic dimensions as 1."""
    value = node.meta.get("val")
    if isinstance(value, tuple | list):
        value = next((v for v in value if isinstance(v, Tensor)), None)
    return tuple(map(_size, value.shape)) if isinstance(value, Tensor) else None


def _size(dimension: int | SymInt) -> int:
    if isinstance(dimension, int):
        return dimension
    expression = dimension.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, 1)))


def elements(node: Node) -> int:
    """Return how many values `node` computes."""
    return math.prod(shape_of(node) or ())
