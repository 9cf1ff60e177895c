"""The end of a classifier: labels for scores."""

from typing import Any

from torch import Tensor

from devices.mil.ops.registry import Labels, op


@op("classify")
def classify(probabilities: Tensor, classes: Labels) -> list[Any]:
    """Return the best label, and the scores as they are given, in the order of `classes`."""
    return [classes[int(probabilities.argmax())], probabilities]
