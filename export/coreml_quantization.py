"""Core ML's compressions as passes of coremltools, with their options as data for the manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import coremltools as ct
from coremltools.optimize.coreml import OpLinearQuantizerConfig, OptimizationConfig

from export.coreml_calibration import Stats
from export.coreml_program import FLOAT, Pass, weight
from export.precision import Precision

TARGETS = {"fp32": FLOAT, "fp16": FLOAT, "int8": FLOAT, "int8-weights": FLOAT} | {
    "int4-weights": ct.target.iOS18
}
GRANULARITY = {"int8": "per-channel", "int8-weights": "per-channel", "int4-weights": "per-block"}
# Input channels that share a 4-bit scale.
BLOCK, SMALLEST_BLOCK = 32, 8
# A smaller weight costs more bytes for its scales and operator than it saves. For arithmetic in
# integers every weight has to be one, however small.
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
    """Return the pass that stores weights as integers, of 8 bits per channel or 4 bits per block.

    Where 4 bits are asked for, weights whose few input channels make no blocks keep 8 bits: those
    of depthwise convolutions, which suffer most and weigh least.

    Args:
        precision: the number of bits, and which weights are too small.
        program: the program that will be compressed.
        kept: operators whose weights stay float.
    """
    options = {
        "mode": "linear_symmetric",
        "dtype": "int8",
        "granularity": "per_channel",
        "weight_threshold": THRESHOLDS[precision.name],
    }
    # By the weight's name, not the operator's: operators may share what is not compressed at all.
    chosen = _blocks(program, options) if precision.weights == "int4" else {}
    chosen |= {found.name: None for op in kept if (found := weight(op)) is not None}
    config = OptimizationConfig(OpLinearQuantizerConfig(**options), op_name_configs=chosen)
    recorded: dict[str, Any] = dict(options)
    if precision.weights == "int4":
        recorded["blocks"] = {"dtype": "int4", "largest": BLOCK, "smallest": SMALLEST_BLOCK}
    passes: tuple[Pass, ...] = (("compression::linear_quantize_weights", {"config": config}),)
    return Configured("linear_quantize_weights", recorded, passes)


def _blocks(program: Any, options: dict[str, Any]) -> dict[str, OpLinearQuantizerConfig | None]:
    """Return a 4-bit configuration for each weight whose input channels divide into blocks."""
    found: dict[str, OpLinearQuantizerConfig | None] = {}
    for op in program.functions["main"].operations:
        constant = weight(op)
        if constant is None:
            continue
        if size := _block_size(constant.outputs[0].shape):
            blocks = {"granularity": "per_block", "block_size": size, "dtype": "int4"}
            found[constant.name] = OpLinearQuantizerConfig(**(options | blocks))
    return found


def _block_size(shape: Sequence[int]) -> int | None:
    """Return the largest block that divides the input channels evenly; None: there is none."""
    channels = int(shape[1]) if len(shape) > 1 else 1
    sizes = (s for s in range(BLOCK, SMALLEST_BLOCK - 1, -1) if channels % s == 0 and s < channels)
    return next(sizes, None)
