"""Core ML's compressions as passes of coremltools, with their options as data for the manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import coremltools as ct
from coremltools.optimize.coreml import OpLinearQuantizerConfig, OptimizationConfig

from export.coreml_calibration import Stats
from export.coreml_program import Pass, weight
from export.precision import Precision

TARGETS = {
    "fp32": ct.target.iOS17,
    "fp16": ct.target.iOS17,
    "int8": ct.target.iOS17,
    "int8-weights": ct.target.iOS17,
    "int4-weights": ct.target.iOS18,
}
GRANULARITY = {"int8": "per-channel", "int8-weights": "per-channel", "int4-weights": "per-block"}
# Input channels that share a 4-bit scale: at most this many, and at least a quarter of it.
BLOCK = 32
# A smaller weight costs more bytes for its scales and operator than it saves. For integer arithmetic
# every weight has to be an integer, however small.
THRESHOLDS = {"int8": 0, "int8-weights": 512, "int4-weights": 512}


@dataclass(frozen=True)
class Configured:
    """Passes to run, under the name and with the options that the manifest records."""

    name: str
    options: dict[str, Any]
    passes: tuple[Pass, ...]


def activations(stats: Stats, kept: Sequence[Any]) -> Configured:
    """Return the passes that round the inputs and outputs of operators to 8 bits.

    Symmetric, as Apple documents for arithmetic in integers on the Neural Engine.

    Args:
        stats: each tensor's range.
        kept: operators that stay float.
    """
    options = {"mode": "linear_symmetric", "dtype": "int8", "granularity": "per_tensor"}
    config = OptimizationConfig(
        OpLinearQuantizerConfig(**options), op_name_configs={op.name: None for op in kept}
    )
    given = {"config": config, "activation_stats": stats}
    passes: tuple[Pass, ...] = (
        ("compression::insert_prefix_quantize_dequantize_pair", given),
        ("compression::insert_suffix_quantize_dequantize_pair", given),
        ("common::dequantize_quantize_pair_elimination", {}),
    )
    return Configured("linear_quantize_activations", options, passes)


def weights(precision: Precision, program: Any, kept: Sequence[Any]) -> Configured:
    """Return the pass that stores weights as integers, 8 bits per channel or 4 bits per block.

    Args:
        precision: the number of bits, and which weights are too small.
        program: the program that will be compressed.
        kept: operators whose weights stay float.
    """
    options: dict[str, Any] = {
        "mode": "linear_symmetric",
        "dtype": precision.weights,
        "granularity": "per_channel",
        "weight_threshold": THRESHOLDS[precision.name],
    }
    # By the weight's name, not the operator's: operators may share what is not compressed at all.
    chosen = _blocks(program, options) if precision.weights == "int4" else {}
    chosen |= {found.name: None for op in kept if (found := weight(op)) is not None}
    config = OptimizationConfig(OpLinearQuantizerConfig(**options), op_name_configs=chosen)
    if precision.weights == "int4":
        options |= {"granularity": "per_block", "block_size": BLOCK}
    passes: tuple[Pass, ...] = (("compression::linear_quantize_weights", {"config": config}),)
    return Configured("linear_quantize_weights", options, passes)


def _blocks(program: Any, options: dict[str, Any]) -> dict[str, OpLinearQuantizerConfig | None]:
    """Return a configuration for each weight whose input channels divide into blocks."""
    found: dict[str, OpLinearQuantizerConfig | None] = {}
    for op in program.functions["main"].operations:
        constant = weight(op)
        if constant is None or constant.outputs[0].rank < 2:
            continue
        size = _block_size(int(constant.outputs[0].shape[1]))
        if size:
            blocks = options | {"granularity": "per_block", "block_size": size}
            found[constant.name] = OpLinearQuantizerConfig(**blocks)
    return found


def _block_size(channels: int) -> int | None:
    """Return the largest block that divides the channels; None: a scale for each output channel."""
    sizes = (size for size in range(BLOCK, BLOCK // 4 - 1, -1) if channels % size == 0)
    return next((size for size in sizes if size < channels), None)
