"""Are the weights in the file the network's? Each number is compared, not only what comes of all.

Golden outputs cannot show one wrong weight among millions, nor a bit too low to matter to them: in
a float16 file they show what is above the noise of rounding everything else. Here a number may be
off by its own rounding only.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from torch.export import ExportedProgram
from torch.fx import Node

from devices import mil
from export import verify
from export.artifact import Constants
from export.jobs import PROGRAM
from export.program import shared, weighted_layers
from models.operators import is_view, kind_of, operator_name, storage_of

Array = npt.NDArray[Any]
# Half a unit in the last place, relative; folding in another order may cost float32 a few of them.
FLOAT32, FLOAT16 = 2.0**-22, 2.0**-11
# What rounding to a float16 below its normal numbers may change.
SUBNORMAL = 2.0**-25
# An 8-bit weight is rounded three times: to float16, its scale, and what comes of both.
ROUNDINGS = 3
# A converter may fold these into the layer before them.
FOLDED = {"add", "batch_norm", "div", "mul", "sub"}
ENORMOUS = 1e9
# Numbers compared at a time: a processor's cache holds the intermediate results of so many.
BLOCK = 50_000
ROWS = 8
BIASED = {"conv", "depthwise conv", "linear"}


@dataclass(frozen=True)
class Layer:
    """A layer's weight, ``(O, I / groups, ...)`` or ``(O, I)``, and bias ``(O,)``, or zeros.

    `certain` is false where a converter may rightly store other numbers. `stored` are the names of
    a package's constants that hold the two.
    """

    name: str
    weight: Array
    bias: Array
    certain: bool = True
    stored: tuple[str, str] = ("", "")


@lru_cache(maxsize=1)
def of_network(directory: Path) -> list[Layer]:
    """Return the layers of the program in an export's scratch directory, batch norms folded."""
    return of_program(shared(directory / PROGRAM))


def of_program(program: ExportedProgram) -> list[Layer]:
    """Return the layers of a program whose batch norms are folded, in its order."""
    nodes = {node.name: node for node in program.graph.nodes}
    parameters = program.graph_signature.inputs_to_parameters
    found = []
    for layer in weighted_layers(program):
        node = nodes[layer.node]
        weight = program.state_dict[layer.weight].detach().numpy()
        place = 0 if operator_name(node) == "addmm" else 2
        operand: Any = (*node.args, None, None)[place] if kind_of(node) in BIASED else None
        stored = parameters.get(operand.name) if operand is not None else None
        bias = program.state_dict[stored].detach().numpy() if stored else np.zeros(len(weight))
        found.append(Layer(layer.name, weight, bias, _certain(node)))
    return found


def _certain(node: Node) -> bool:
    """Tell whether nothing after it can be folded in, and its weight is output channels first."""
    matrix = operator_name(node) in {"addmm", "bmm", "matmul", "mm"}
    turned = operator_name(node.all_input_nodes[-1]) in {"t", "transpose", "permute"}
    return (turned or not matrix) and not _folds(node)


def _folds(layer: Node) -> bool:
    """Tell whether the one reader of the output, through views, joins it with constants."""
    if len(layer.users) != 1:
        return False
    [node] = layer.users
    if is_view(node):
        return _folds(node)
    computed = [n for n in node.all_input_nodes if storage_of(n).op == "call_function"]
    return kind_of(node) in FOLDED and len(computed) < 2


def of_package(path: Path) -> list[Layer]:
    """Return the layers of a Core ML package in its order, compressed weights unpacked."""
    return _of_package(mil.load(path))


def _of_package(program: mil.Program) -> list[Layer]:
    return [layer for operator in program.operators for layer in _layer(program, operator)]


def _layer(program: mil.Program, operator: mil.Operator) -> Iterator[Layer]:
    names = {key: value[0] for key, value in operator.inputs.items() if value}
    key = "y" if operator.kind == "matmul" else "weight"
    if operator.kind not in {"conv", "linear", "matmul"} or names.get(key) not in program.constants:
        return
    weight = program.constant(names[key])
    if operator.kind == "matmul" and not _is_set(program, names.get("transpose_y")):
        weight = np.swapaxes(weight, -1, -2)
    bias = program.constant(names["bias"]) if "bias" in names else np.zeros(len(weight))
    stored = (names[key], names.get("bias", ""))
    yield Layer(operator.name, weight, bias, operator.kind != "matmul", stored)


def _is_set(program: mil.Program, name: str | None) -> bool:
    return name is not None and bool(program.constant(name))


def check(path: Path, directory: Path, golden: Path, weights: str) -> Constants | None:
    """Compare a package's weights with those of the program in an export's scratch directory.

    Args:
        path: the package.
        directory: where the program is.
        golden: the package's own golden data.
        weights: how the file stores weights: float32, float16, or an integer type by channel.

    Returns:
        What was found; None where the two cannot be compared: the package cannot be read here (its
        proof will tell), or its layers are not the network's one by one.
    """
    try:
        program = mil.load(path)
        file = _of_package(program)
        network = of_network(directory)
        found = compare(network, file, weights)
        return found and msgspec.structs.replace(
            found, structure_db=structure(program, file, network, golden, weights)
        )
    except mil.MilError:
        return None


def structure(
    program: mil.Program, file: Sequence[Layer], network: Sequence[Layer], path: Path, weights: str
) -> float:
    """Return the PSNR in dB of the file with the network's own weights in it and nothing rounded.

    What is left to be wrong is all but the weights: how layers are joined, their strides, paddings
    and axes, and constants like the bounds of a clip; nothing of it hides below rounding.
    """
    instead = dict(_instead(file, network, weights))
    with np.load(path, allow_pickle=False) as arrays:
        golden = dict(arrays)
    inputs = {p.name: golden[f"in.{p.name}"] for p in program.inputs}
    rows = _rows(next(iter(inputs.values())))
    outputs: list[dict[str, Array]] = []
    for row in rows:
        fed = {p.name: np.repeat(inputs[p.name][[row]], (p.shape or (1,))[0], 0)
               for p in program.inputs}  # fmt: skip
        outputs.append(program.run(fed, linear=True, instead=instead))
    figures = [
        verify.psnr(golden[f"out.{p.name}"][rows], np.concatenate([o[p.name][:1] for o in outputs]))
        for p in program.outputs
        if f"out.{p.name}" in golden  # not the name of a class
    ]
    return round(float(np.nan_to_num(min(figures))), 2)


def _instead(
    file: Sequence[Layer], network: Sequence[Layer], weights: str
) -> Iterator[tuple[str, Array]]:
    """Yield the constants to put the network's own numbers into, with those numbers."""
    for own, other in zip(network, file, strict=True):
        if not other.certain:
            continue
        if own.certain or _is_rounded(own, other, weights):
            yield other.stored[0], own.weight.reshape(other.weight.shape)
        if own.certain and other.stored[1] and own.bias.shape == other.bias.shape:
            yield other.stored[1], own.bias


def _is_rounded(own: Layer, other: Layer, weights: str) -> bool:
    """Tell whether a file's weights are the layer's but for rounding: nothing was folded in."""
    if not _alike(own, other):
        return False
    weight = own.weight.reshape(other.weight.shape)
    return _ratio(weight, other.weight, weights) <= 1


def _rows(inputs: Array) -> list[int]:
    """Return a few golden inputs, from the smallest to the largest."""
    order = np.abs(inputs).reshape(len(inputs), -1).max(axis=1).argsort()
    return [int(order[i]) for i in np.linspace(0, len(order) - 1, ROWS).astype(int)]


def compare(network: Sequence[Layer], file: Sequence[Layer], weights: str) -> Constants | None:
    """Compare a file's layers with the network's, in order; see `check`."""
    if len(network) != len(file):
        return None
    pairs = [(own, other) for own, other in zip(network, file, strict=True) if own.certain]
    if not all(_alike(own, other) for own, other in pairs):
        return None
    worst = [(ratio, name) for own, other in pairs for ratio, name in _ratios(own, other, weights)]
    ratio, name = max(worst, default=(0.0, ""))
    return Constants(
        layers=len(pairs),
        numbers=sum(own.weight.size + own.bias.size for own, _ in pairs),
        worst=round(min(ratio, ENORMOUS), 3),
        where=name,
    )


def _alike(own: Layer, other: Layer) -> bool:
    return own.weight.squeeze().shape == other.weight.squeeze().shape


def _ratios(own: Layer, other: Layer, weights: str) -> Iterator[tuple[float, str]]:
    """Yield the largest error of the weight and of the bias, as multiples of what is allowed."""
    weight = own.weight.reshape(other.weight.shape)
    yield _ratio(weight, other.weight, weights), f"{own.name}.weight"
    if own.bias.shape != other.bias.shape:
        yield float("inf"), f"{own.name}.bias"
        return
    dtype = "float32" if weights == "float32" else "float16"
    yield _ratio(own.bias, other.bias, dtype), f"{own.name}.bias"


def _ratio(right: Array, found: Array, dtype: str) -> float:
    """Return the largest error of numbers stored as `dtype`, as a multiple of what is allowed."""
    largest = float(np.abs(right).max(initial=0.0))
    step = max(1, BLOCK * len(right) // max(1, right.size))
    blocks = [slice(start, start + step) for start in range(0, len(right), step)]
    return max((_worst(right[b], found[b], dtype, largest) for b in blocks), default=0.0)


def _worst(right: Array, found: Array, dtype: str, largest: float) -> float:
    """Return what `_ratio` does for some channels of numbers that are `largest` at most."""
    ratio = np.abs(found.astype(np.float64) - right) / _allowed(right, dtype, largest)
    return float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0))


def _allowed(right: Array, dtype: str, largest: float) -> Array:
    """Return by how much each number may be off when it is stored as `dtype`."""
    size = np.abs(right.astype(np.float64))
    channels = size.reshape(len(size), -1).max(axis=1, initial=0.0)
    folding: Array = FLOAT32 * (size + largest) + np.finfo(np.float32).tiny
    if dtype == "float32":
        return folding
    rounding: Array = folding + FLOAT16 * size + SUBNORMAL
    if bits := re.fullmatch(r"u?int(\d+)", dtype):
        step = channels.reshape(-1, *[1] * (size.ndim - 1)) / (2 ** (int(bits[1]) - 1) - 1)
        rounding = 0.5 * step + ROUNDINGS * rounding
    return rounding
