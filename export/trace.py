"""An exported file as steps whose intermediate values can be read: the same form for every format.

Readers (`trace_onnx`, `trace_tflite`, `trace_coreml`) give a `Trace`. Its values are float32, what
was quantized restored by each tensor's own scale and zero point, images channel-first.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.artifact import MODEL_FILES, Manifest
from export.inspection import plain, readable

Array = npt.NDArray[Any]
# The file's inputs, in order, at its batch; the tensors wanted. Returns those tensors by name.
Run = Callable[[Sequence[Array], Sequence[str]], dict[str, Array]]

# One word for what formats and torch call differently; all without capitals and underscores.
SAME = {
    "conv": ("conv2d", "depthwiseconv", "depthwiseconv2d", "convtranspose", "transposeconv"),
    "linear": ("gemm", "matmul", "fullyconnected", "mm", "addmm", "batchmatmul", "bmm"),
    "avgpool": (
        *("averagepool", "averagepool2d", "globalaveragepool", "reducemean", "mean"),
        *("adaptiveavgpool2d", "avgpool2d"),
    ),
    "maxpool": ("maxpool2d", "globalmaxpool", "reducemax", "adaptivemaxpool2d"),
    "concat": ("concatenation", "cat"),
    "sigmoid": ("logistic",),
    "batchnorm": ("batchnormalization",),
    "localresponsenorm": ("lrn", "localresponsenormalization"),
}
_COMMON = {other: word for word, others in SAME.items() for other in others}
CLAMPS = {
    *("relu", "relu6", "clip", "clamp", "clampmin", "clampmax", "hardtanh", "minimum", "maximum"),
    *("relu0to1", "relun1to1"),
}
CONVERSIONS = {"quantizelinear", "dequantizelinear", "quantize", "dequantize", "cast", "identity"}
# What hands values on without computing: from an operator's operand back to the layer before.
MOVES = CONVERSIONS | {
    *("pad", "padv2", "mirrorpad", "transpose", "reshape", "flatten", "squeeze", "expanddims"),
    "unsqueeze",
}


def common(kind: str) -> str:
    """Return an operator's kind in the one word that all formats share here."""
    word = plain(kind.replace(" ", ""))
    return _COMMON.get(word, word)


@dataclass(frozen=True)
class Grid:
    """The real values that a quantized tensor can hold: `low` to `high`, `step` apart.

    A float16 tensor has the step 0 and the limits of float16.
    """

    low: float
    high: float
    step: float


HALF = Grid(-float(np.finfo(np.float16).max), float(np.finfo(np.float16).max), 0.0)


def grid(scale: float, zero_point: int, low: int, high: int) -> Grid:
    """Return the grid of integers `low` to `high`: real = scale * (integer - zero point)."""
    return Grid(scale * (low - zero_point), scale * (high - zero_point), scale)


@dataclass(frozen=True)
class Weight:
    """A layer's weight (O, I, ...) and bias (O,) as the file's arithmetic uses them, in float32.

    `scales` are those of a quantized weight: one, or one for each output channel; `bias_scales`
    likewise, of a bias in 32 bits.
    """

    values: Array
    bias: Array | None = None
    scales: Array | None = None
    bias_scales: Array | None = None


@dataclass(frozen=True)
class Step:
    """One operator. `inputs` are the tensors computed at run time that it reads, in order.

    `fused`: the file says that it applies an activation after it.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    weight: Weight | None = None
    fused: bool = False


@dataclass(frozen=True)
class Trace:
    """A file's steps in order; `grids` has the tensors that are not float32."""

    steps: tuple[Step, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    run: Run
    grids: dict[str, Grid] = field(default_factory=dict)

    @cached_property
    def maker(self) -> dict[str, Step]:
        """The step that computes a tensor."""
        return {step.output: step for step in self.steps}

    @cached_property
    def readers(self) -> dict[str, list[Step]]:
        """The steps that read a tensor, in order."""
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            for name in step.inputs:
                found.setdefault(name, []).append(step)
        return found

    def converted(self, tensor: str) -> str:
        """Follow a tensor through conversions of number types, if nothing else reads it."""
        while tensor not in self.outputs and (readers := self.readers.get(tensor)):
            if not all(reader.kind in CONVERSIONS for reader in readers):
                break
            tensor = readers[0].output
        return tensor

    def sources(self, tensor: str) -> Iterator[str]:
        """Yield a tensor and, nearest first, those that it is moved or converted from."""
        yield tensor
        while (step := self.maker.get(tensor)) and step.kind in MOVES and step.inputs:
            tensor = step.inputs[0]
            yield tensor

    def grid_between(self, first: str, last: str) -> Grid | None:
        """Return the narrowest grid from tensor `first` to `last`, which is converted from it."""
        found = None
        for name in self.sources(last):
            if own := self.grids.get(name):
                found = own if found is None else _narrower(found, own)
            if name == first:
                break
        return found


def _narrower(one: Grid, other: Grid) -> Grid:
    low, high = max(one.low, other.low), min(one.high, other.high)
    return Grid(low, high, max(one.step, other.step))


def load(directory: Path, manifest: Manifest) -> Trace:
    """Open an artifact's file.

    Raises:
        ArtifactError: the format's package is not installed, or the file cannot be read or run.
    """
    path = directory / MODEL_FILES[manifest.format]
    contract = manifest.contract
    with readable(path, manifest.format):
        reader = importlib.import_module(f"export.trace_{manifest.format}")
        found: Trace = reader.read(
            path, [t.name for t in contract.inputs], [t.name for t in contract.outputs]
        )
    return found
