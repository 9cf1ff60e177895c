"""Shapes, parameters, multiply-accumulates and activation memory, counted from a program.

The rules, the same for every network, for one image in float32:

* MACs are those of convolutions and matrix products; one multiply-accumulate is 1. Biases, norms,
  activations, pools and additions are left out, as the papers do.
* Parameters are what training would change: batch norm's running statistics are not among them.
* A view (flatten, reshape, transpose, slice, dropout out of training) takes no memory. An
  element-wise operator or batch norm writes over an input of its own size if nothing else needs
  that input any more, as runtimes do; the network's own input is never written over.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

from torch import SymInt, Tensor
from torch.export import ExportedProgram
from torch.fx import Node

FLOAT32 = 4

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


@dataclass(frozen=True)
class Layer:
    """One operator. `output_shape` is that of one image; `activation_bytes` is what it allocates.

    `weight_bytes` counts the layer's parameters in float32. A parameter that several layers share
    is counted with the first.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    activation_bytes: int
    weight_bytes: int


@dataclass(frozen=True)
class Analysis:
    """A network's layers, its input first, and their totals.

    `total_activation_bytes` is the sum of all that the layers allocate, the input included;
    `peak_activation_bytes` the largest sum of tensors alive at once in the program's order.
    """

    layers: tuple[Layer, ...]
    parameters: int
    macs: int
    total_activation_bytes: int
    peak_activation_bytes: int


def analyse(program: ExportedProgram) -> Analysis:
    """Count a program by the rules above; a dynamic dimension counts as 1, a fixed one as it is."""
    parameters = {
        placeholder: (name, program.state_dict[name].numel())
        for placeholder, name in program.graph_signature.inputs_to_parameters.items()
    }
    inputs = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if _shape(node) is not None]
    memory, unseen = _Memory(program, nodes), dict(parameters)
    layers = [
        _layer(node, memory, parameters, unseen)
        for node in nodes
        if node.name in inputs or (node.op == "call_function" and not _is_view(node))
    ]
    return Analysis(
        layers=tuple(layers),
        parameters=sum(count for _, count in parameters.values()),
        macs=sum(layer.macs for layer in layers),
        total_activation_bytes=sum(layer.activation_bytes for layer in layers),
        peak_activation_bytes=memory.peak(),
    )


Parameters = dict[str, tuple[str, int]]


def _layer(node: Node, memory: "_Memory", parameters: Parameters, unseen: Parameters) -> Layer:
    """Describe one operator, and take its parameters out of `unseen`."""
    roots = [memory.root(argument).name for argument in node.all_input_nodes]
    own = [root for root in roots if root in parameters]
    count = sum(unseen.pop(root, ("", 0))[1] for root in own)
    count_macs = MACS.get(_operator(node))
    return Layer(
        name=parameters[own[0]][0].rpartition(".")[0] if own else _module(node),
        kind="input" if node.op == "placeholder" else _kind(node),
        output_shape=_shape(node) or (),
        parameters=count,
        macs=count_macs(node) if count_macs else 0,
        activation_bytes=memory.allocated(node),
        weight_bytes=FLOAT32 * count,
    )


class _Memory:
    """Which tensors share storage, and from where to where in the order each storage lives."""

    def __init__(self, program: ExportedProgram, nodes: list[Node]) -> None:
        self._inputs = set(program.graph_signature.user_inputs)
        self._root: dict[Node, Node] = {}
        self._bytes: dict[Node, int] = {}
        self._birth: dict[Node, int] = {}
        self._death: dict[Node, int] = {}
        for node in filter(_is_view, nodes):
            self._root[node] = self.root(node.all_input_nodes[0])
        for index, node in enumerate([*nodes, program.graph.output_node()]):
            for tensor in (node, *node.all_input_nodes):
                self._death[self.root(tensor)] = index
        for index, node in enumerate(nodes):
            if node not in self._root:
                self._place(node, index)

    def root(self, node: Node) -> Node:
        """Return the node whose storage `node` looks at."""
        while node in self._root:
            node = self._root[node]
        return node

    def allocated(self, node: Node) -> int:
        """Return the bytes that `node` allocates: none if it writes over an input."""
        return self._bytes.get(node, 0)

    def peak(self) -> int:
        """Return the largest sum of bytes alive at once."""
        return max(map(self._alive, set(self._birth.values())), default=0)

    def _alive(self, moment: int) -> int:
        living = (n for n in self._bytes if self._birth[n] <= moment <= self._death[n])
        return sum(self._bytes[node] for node in living)

    def _place(self, node: Node, index: int) -> None:
        size = FLOAT32 * math.prod(_shape(node) or ())
        if node.name in self._inputs:
            self._bytes[node], self._birth[node] = size, 0
        elif node.op == "call_function":
            spare = self._spare(node, size, index)
            if spare is None:
                self._bytes[node], self._birth[node] = size, index
            else:
                self._root[node] = spare
                self._death[spare] = self._death[node]

    def _spare(self, node: Node, size: int, index: int) -> Node | None:
        """Return the storage that `node` may write over."""
        roots = map(self.root, node.all_input_nodes if _kind(node) in IN_PLACE else ())
        return next(
            (
                root
                for root in roots
                if self.allocated(root) == size
                and self._death[root] == index
                and root.name not in self._inputs
            ),
            None,
        )


def _operator(node: Node) -> str:
    """Return the operator's name without its namespace and overload."""
    name = str(getattr(node.target, "overloadpacket", node.target)).rpartition(".")[2]
    return "getitem" if node.target is operator.getitem else name.rstrip("_")


def _kind(node: Node) -> str:
    name = SYNONYMS.get(_operator(node), _operator(node))
    return "depthwise conv" if name == "conv" and _is_depthwise(node) else name


def _is_view(node: Node) -> bool:
    return node.op == "call_function" and _kind(node) in VIEWS


def _is_depthwise(node: Node) -> bool:
    weight, inputs = _shape(_tensor(node, 1)), _shape(_tensor(node, 0))
    return bool(weight and inputs and weight[1] == 1 < inputs[1])


def _module(node: Node) -> str:
    """Return the path of the innermost module that the operator comes from."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return (stack[-1][0] if stack else "") or node.name


def _tensor(node: Node, position: int) -> Node:
    return [a for a in node.args if isinstance(a, Node)][position]


def _shape(node: Node) -> tuple[int, ...] | None:
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


def _elements(node: Node) -> int:
    return math.prod(_shape(node) or ())


def _convolution(node: Node) -> int:
    """Each output value is a sum over the filter's window and its group's channels."""
    if _operator(node) == "convolution" and node.args[6]:
        return _transposed(node)
    return _elements(node) * math.prod((_shape(_tensor(node, 1)) or ())[1:])


def _transposed(node: Node) -> int:
    """Each input value is spread over the filter's window and its group's output channels."""
    return _elements(_tensor(node, 0)) * math.prod((_shape(_tensor(node, 1)) or ())[1:])


def _product(left: int) -> Callable[[Node], int]:
    """Count a matrix product whose left factor is argument `left`: outputs times its columns."""
    return lambda node: _elements(node) * (_shape(_tensor(node, left)) or (1,))[-1]


def _attention(node: Node) -> int:
    """Queries times keys, then the weights times values."""
    query, key, value = (_shape(_tensor(node, position)) or () for position in range(3))
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


MACS: dict[str, Callable[[Node], int]] = {
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
