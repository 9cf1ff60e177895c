"""Which operators of a file are which layer of the network.

Layers with weights are recognised by their weights: the shape has to be the same, then the most
alike wins, and program order where weights tell nothing (they were destroyed, or are shared). The
others are recognised by their kind and by the layers with weights that they read. Names are not
used: formats keep them or do not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from export.reference import INPUT, Layer
from export.trace import CLAMPS, Grid, Step, Trace, common

Key = tuple[str, int, frozenset[str]]
ALIKE = 0.5  # cosine of two weights that are taken for the same whatever their order


@dataclass(frozen=True)
class Pair:
    """A layer and where it is in the file; `step` None: it was not found.

    `layer` is without its clamp where the file's values are too. `tensor` is the file's counterpart
    of the layer's end; `grid` is the narrowest between the operator and there.
    """

    layer: Layer
    step: Step | None = None
    tensor: str = ""
    grid: Grid | None = None


def align(layers: Sequence[Layer], trace: Trace) -> list[Pair]:
    """Return a pair for every layer, in order; an input that the file takes as it is has none."""
    inputs = [layer for layer in layers if layer.kind == INPUT]
    rest = [layer for layer in layers if layer.kind != INPUT]
    places = dict(zip([layer.name for layer in inputs], trace.inputs, strict=True))
    found = _by_weight(rest, trace)
    found |= _by_place(rest, trace, found, places)
    ends = [_input_pair(layer, places[layer.name], trace) for layer in inputs]
    pairs = [_pair(layer, found.get(layer.name), trace) for layer in rest]
    return [*(pair for pair in ends if pair.grid), *pairs]


def _input_pair(layer: Layer, tensor: str, trace: Trace) -> Pair:
    end = trace.converted(tensor)
    step = Step(kind=INPUT, inputs=(tensor,), output=tensor)
    return Pair(layer, step, end, trace.grid_between(tensor, end))


def _by_weight(layers: Sequence[Layer], trace: Trace) -> dict[str, Step]:
    free = [step for step in trace.steps if step.weight is not None]
    found: dict[str, Step] = {}
    for least in (ALIKE, -np.inf):
        for layer in layers:
            if layer.weight is None or layer.name in found:
                continue
            alike = [_alike(layer, step) for step in free]
            if alike and max(alike) > least:
                found[layer.name] = free.pop(int(np.argmax(alike)))
    return found


def _alike(layer: Layer, step: Step) -> float:
    """Return the mean cosine of two weights' output channels; minus infinity: other shapes.

    It is rounded, so that of equal ones the first in order wins.
    """
    assert layer.weight is not None
    assert step.weight is not None
    if _shape(layer.weight.shape) != _shape(step.weight.values.shape):
        return -np.inf
    a = layer.weight.reshape(len(layer.weight), -1).astype(np.float64)
    b = step.weight.values.reshape(len(a), -1).astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products = np.abs((a * b).sum(axis=1))
    return round(float(np.mean(products / np.where(norms > 0, norms, 1))), 3)


def _shape(shape: Iterable[int]) -> tuple[int, ...]:
    """Return a weight's shape without ones at its end: a 1x1 convolution is a matrix product."""
    sizes = list(shape)
    while len(sizes) > 2 and sizes[-1] == 1:
        sizes.pop()
    return tuple(sizes)


def _by_place(
    layers: Sequence[Layer], trace: Trace, weighted: dict[str, Step], inputs: dict[str, str]
) -> dict[str, Step]:
    """Pair layers without weights by kind, number of operands, and the layers that feed them."""
    feeds = _feeds(trace, weighted, inputs)
    known = {id(step) for step in weighted.values()}
    steps: dict[Key, list[Step]] = {}
    for step in trace.steps:
        if id(step) not in known:
            key = step.kind, len(step.inputs), _joined(feeds, step.inputs)
            steps.setdefault(key, []).append(step)
    found: dict[str, Step] = {}
    for layer in layers:
        key = common(layer.kind), len(layer.operands), layer.feeds
        if layer.weight is None and (same := steps.get(key)):
            found[layer.name] = same.pop(0)
    return found


def _feeds(
    trace: Trace, weighted: dict[str, Step], inputs: dict[str, str]
) -> dict[str, frozenset[str]]:
    """Return, for every tensor, the layers with weights that it comes from, or the input."""
    owners = {id(step): name for name, step in weighted.items()}
    feeds = {tensor: frozenset([name]) for name, tensor in inputs.items()}
    for step in trace.steps:
        owner = owners.get(id(step))
        feeds[step.output] = frozenset([owner]) if owner else _joined(feeds, step.inputs)
    return feeds


def _joined(feeds: dict[str, frozenset[str]], tensors: Iterable[str]) -> frozenset[str]:
    return frozenset[str]().union(*(feeds.get(tensor, frozenset()) for tensor in tensors))


def _pair(layer: Layer, step: Step | None, trace: Trace) -> Pair:
    if step is None:
        return Pair(layer)
    tensor, clamped = _end(layer, step, trace)
    grid = trace.grid_between(step.output, tensor)
    clamped = clamped or _holds_only(grid, layer.bounds)
    if step.fused and layer.bounds is None:
        return Pair(layer)
    return Pair(layer if clamped else layer.unclamped, step, tensor, grid)


def _end(layer: Layer, step: Step, trace: Trace) -> tuple[str, bool]:
    """Follow a step's output to where the layer ends; tell whether it was clamped on the way."""
    tensor, clamped = step.output, step.fused
    without_bias = step.weight is not None and step.weight.bias is None and layer.bias is not None
    while tensor not in trace.outputs:
        after = trace.converted(tensor)
        readers = trace.readers.get(after, [])
        reader = readers[0] if len(readers) == 1 else None
        if reader and without_bias and reader.kind == "add" and len(reader.inputs) == 1:
            tensor, without_bias = reader.output, False
        elif reader and layer.bounds is not None and reader.kind in CLAMPS:
            tensor, clamped = reader.output, True
        else:
            return after, clamped
    return tensor, clamped


def _holds_only(grid: Grid | None, bounds: tuple[float, float] | None) -> bool:
    """Tell whether a tensor holds only what a clamp would let through: int8 files leave it out."""
    if grid is None or bounds is None or not grid.step:
        return False
    return bounds[0] - grid.step <= grid.low and grid.high <= bounds[1] + grid.step
