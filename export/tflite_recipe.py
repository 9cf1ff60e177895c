"""AI Edge Quantizer's recipes for each precision, and the layers that they leave alone."""

import re
from collections.abc import Callable, Iterable

from ai_edge_quantizer import qtyping
from ai_edge_quantizer.recipe_manager import RecipeManager

ALL = qtyping.TFLOperationName.ALL_SUPPORTED
# What runtimes take with 4-bit weights; a depthwise convolution is not among them.
FOUR_BIT = (qtyping.TFLOperationName.CONV_2D, qtyping.TFLOperationName.FULLY_CONNECTED)
INTERFACE = (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT)
EVERYWHERE = ".*"


def recipe(precision: str, float_outputs: Iterable[str] = (), *, io: str) -> RecipeManager:
    """Return the recipe of a precision.

    Args:
        precision: fp16, int8, int8-weights or int4-weights.
        float_outputs: the output tensors of operators that stay float.
        io: number type of the file's inputs and outputs.
    """
    made = RecipeManager()
    RECIPES[precision](made)
    if io == "float32":
        for end in INTERFACE:
            _leave(made, EVERYWHERE, end)
    for name in float_outputs:
        # The tool's name for an operator: its outputs', each with a semicolon behind it.
        _leave(made, f"^{re.escape(name)};", ALL)
    return made


def _leave(made: RecipeManager, regex: str, operation: qtyping.TFLOperationName) -> None:
    made.add_quantization_config(regex=regex, operation_name=operation, algorithm_key="no_quantize")


def _half(made: RecipeManager) -> None:
    """Weights cast to float16 and restored on loading; arithmetic as the runtime likes."""
    made.add_weight_only_config(EVERYWHERE, ALL, num_bits=16, algorithm_key="float_casting")


def _int8(made: RecipeManager) -> None:
    """Weights int8 symmetric per channel, activations int8 with a zero point per tensor."""
    made.add_static_config(EVERYWHERE, ALL, activation_num_bits=8, weight_num_bits=8)


def _int8_weights(made: RecipeManager) -> None:
    """Weights int8 symmetric per channel, restored on loading; arithmetic in float32."""
    made.add_weight_only_config(EVERYWHERE, ALL, num_bits=8)


def _int4_weights(made: RecipeManager) -> None:
    """Weights int4 symmetric per channel where runtimes take them, int8 elsewhere."""
    _int8_weights(made)
    for operation in FOUR_BIT:
        made.add_weight_only_config(EVERYWHERE, operation, num_bits=4)


RECIPES: dict[str, Callable[[RecipeManager], None]] = {
    "fp16": _half,
    "int8": _int8,
    "int8-weights": _int8_weights,
    "int4-weights": _int4_weights,
}
