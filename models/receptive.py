"""Receptive fields: how much of the network's input one value of an operator's output can see.

The recurrences along each axis of the image, from the input on (field 1, jump 1): a window of k
values, d apart, moved by s, gives

    field = field + (k - 1) * d * jump        jump = jump * s

where `jump` is the distance, in input values, of two neighbours. Where branches meet, the largest
counts. After an operator over the whole image there is no field to speak of.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

from torch.export import ExportedProgram
from torch.fx import Node

from models.operators import kind_of, operator_name, shape_of, tensor_argument

POINTWISE = {
    *("add", "batch_norm", "cat", "clamp", "clamp_max", "clamp_min", "div", "elu", "exp", "gelu"),
    *("hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log", "maximum", "minimum", "mul"),
    *("neg", "pow", "prelu", "relu", "relu6", "rsqrt", "sigmoid", "silu", "softplus", "sqrt"),
    *("square", "sub", "tanh"),
    *("alias", "channel_shuffle", "chunk", "clone", "constant_pad_nd", "contiguous", "detach"),
    *("dropout", "expand", "getitem", "native_channel_shuffle", "pad", "split"),
    *("split_with_sizes",),
}


@dataclass(frozen=True)
class Window:
    """What a convolution or pool looks at to compute one value, along the last dimensions."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool = False


@dataclass(frozen=True)
class _Reach:
    """The field along one axis, in input values, and the distance of neighbours."""

    field: Fraction
    jump: Fraction


# One entry a dimension of the tensor: None where it is no axis of the image.
_Reaches = tuple[_Reach | None, ...]


def receptive_fields(program: ExportedProgram) -> dict[Node, tuple[int, ...] | None]:
    """Return each operator's field along the image's axes; None over the whole image, or unknown.

    Dimensions from the third on are the image's axes; an input of fewer has none.
    """
    inputs = set(program.graph_signature.user_inputs)
    reaches: dict[Node, _Reaches | None] = {}
    for node in program.graph.nodes:
        if node.name in inputs:
            reaches[node] = _start(shape_of(node) or ())
        elif node.op == "call_function":
            reaches[node] = _reached(node, reaches)
    return {node: _field(found) for node, found in reaches.items()}


def window_of(node: Node) -> Window | None:
    """Return the window of a convolution or a pool of fixed size; None of other operators."""
    name = operator_name(node)
    if name.startswith("conv"):
        return _convolution(node)
    if name.startswith(("max_pool", "avg_pool")):
        return _pool(node)
    return None


def _convolution(node: Node) -> Window:
    kernel = (shape_of(tensor_argument(node, 1)) or ())[2:]
    general = operator_name(node) == "convolution"
    transposed = "transpose" in operator_name(node) or bool(general and node.args[6])
    position = 7 if transposed and not general else 5
    return Window(
        kernel,
        _spread(_argument(node, "stride", 3), kernel, 1),
        _spread(_argument(node, "dilation", position), kernel, 1),
        transposed,
    )


def _pool(node: Node) -> Window:
    dimensions = int(operator_name(node).partition("pool")[2][0])
    kernel = _spread(_argument(node, "kernel_size", 1), (1,) * dimensions, 1)
    stride = _argument(node, "stride", 2) or kernel
    dilation = _argument(node, "dilation", 4) if "max" in operator_name(node) else 1
    return Window(kernel, _spread(stride, kernel, 1), _spread(dilation, kernel, 1))


def _argument(node: Node, name: str, position: int) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name)


def _spread(value: Any, like: Sequence[int], default: int) -> tuple[int, ...]:
    """Return one number an axis, from a number, a list, or nothing."""
    numbers = [value] if isinstance(value, int) else list(value or [default])
    return tuple(int(n) for n in numbers * (len(like) if len(numbers) == 1 else 1))


def _start(shape: tuple[int, ...]) -> _Reaches | None:
    one = _Reach(Fraction(1), Fraction(1))
    axes = len(shape) - 2
    return (None, None, *[one] * axes) if axes > 0 else None


def _field(reaches: _Reaches | None) -> tuple[int, ...] | None:
    found = tuple(ceil(reach.field) for reach in reaches or () if reach)
    return found or None


def _reached(node: Node, known: dict[Node, _Reaches | None]) -> _Reaches | None:
    operands = [known[n] for n in node.all_input_nodes if n in known]
    if not operands or None in operands:
        return None
    first = next(filter(None, operands))
    window = window_of(node)
    if window:
        return _through(first, window)
    if kind_of(node) in POINTWISE:
        return _meet([r for r in operands if r])
    rule = _RULES.get(operator_name(node))
    return rule(node, first) if rule else None


def _through(reaches: _Reaches, window: Window) -> _Reaches:
    axes = len(window.kernel)
    seen = zip(reaches[-axes:], window.kernel, window.stride, window.dilation, strict=True)
    moved = tuple(
        reach and _widened(reach, kernel, stride, dilation, window.transposed)
        for reach, kernel, stride, dilation in seen
    )
    return (*reaches[:-axes], *moved)


def _widened(reach: _Reach, kernel: int, stride: int, dilation: int, transposed: bool) -> _Reach:
    """A transposed convolution sees every `stride`-th value of its window, and halves the jump."""
    extent = (kernel - 1) * dilation
    if transposed:
        return _Reach(reach.field + extent // stride * reach.jump, reach.jump / stride)
    return _Reach(reach.field + extent * reach.jump, reach.jump * stride)


def _meet(operands: Sequence[_Reaches]) -> _Reaches | None:
    """Take the largest field of branches, their dimensions aligned from the last as they meet."""
    rank = max(map(len, operands))
    aligned = [(*(None,) * (rank - len(reaches)), *reaches) for reaches in operands]
    return tuple(
        max(filter(None, column), key=lambda reach: reach.field, default=None)
        for column in zip(*aligned, strict=True)
    )


def _adaptive(node: Node, reaches: _Reaches) -> _Reaches | None:
    """A pool to a given size is one of fixed size where that divides; to 1x1 it is global."""
    wanted = (shape_of(node) or ())[2:]
    there = (shape_of(tensor_argument(node, 0)) or ())[2:]
    if any(w == 1 < t or t % w for w, t in zip(wanted, there, strict=True)):
        return None
    steps = tuple(t // w for w, t in zip(wanted, there, strict=True))
    return _through(reaches, Window(steps, steps, (1,) * len(steps)))


def _reshaped(node: Node, reaches: _Reaches) -> _Reaches | None:
    """The axes outlive a reshaping of the dimensions before them."""
    axes = sum(reach is not None for reach in reaches)
    before, after = shape_of(tensor_argument(node, 0)) or (), shape_of(node) or ()
    trailing = all(reaches[-axes:]) and before[-axes:] == after[-axes:]
    return (*[None] * (len(after) - axes), *reaches[-axes:]) if axes and trailing else None


def _permuted(node: Node, reaches: _Reaches) -> _Reaches:
    order: Any = node.args[1]
    return tuple(reaches[place] for place in order)


def _transposed(node: Node, reaches: _Reaches) -> _Reaches:
    moved = list(reaches)
    one, other = int(node.args[1]), int(node.args[2])  # type: ignore[arg-type]
    moved[one], moved[other] = moved[other], moved[one]
    return tuple(moved)


def _over(node: Node, reaches: _Reaches) -> _Reaches | None:
    """An operator over dimensions, such as a mean or softmax; over an axis, it sees all of it."""
    given = _argument(node, "dim", 1)
    dimensions = [given] if isinstance(given, int) else list(given or range(len(reaches)))
    places = {d % len(reaches) for d in dimensions}
    if any(reaches[place] for place in places):
        return None
    if len(shape_of(node) or ()) == len(reaches):
        return reaches
    return tuple(reach for place, reach in enumerate(reaches) if place not in places)


def _inserted(node: Node, reaches: _Reaches) -> _Reaches:
    place = int(node.args[1]) % (len(reaches) + 1)  # type: ignore[arg-type]
    return (*reaches[:place], None, *reaches[place:])


def _last(_: Node, reaches: _Reaches) -> _Reaches | None:
    """A linear layer mixes the last dimension."""
    return None if reaches[-1] else reaches


_RULES: dict[str, Callable[[Node, _Reaches], _Reaches | None]] = {
    "_adaptive_avg_pool2d": _adaptive,
    "_log_softmax": _over,
    "_softmax": _over,
    "adaptive_avg_pool1d": _adaptive,
    "adaptive_avg_pool2d": _adaptive,
    "amax": _over,
    "flatten": _reshaped,
    "linear": _last,
    "log_softmax": _over,
    "mean": _over,
    "permute": _permuted,
    "reshape": _reshaped,
    "softmax": _over,
    "squeeze": _over,
    "sum": _over,
    "transpose": _transposed,
    "unflatten": _reshaped,
    "unsqueeze": _inserted,
    "view": _reshaped,
}
