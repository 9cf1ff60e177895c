"""The end of a classifier: labels for scores."""

from typing import Any

from torch import Tensor

from devices.mil.ops.registry import Labels, op


@op("classify")
def classify(probabilities: Tensor, classes: Labels) -> list[Any]:
    """Return the best label, and the scores in the order of `classes`."""
    scores = probabilities.flatten()
    return [classes[int(scores.argmax())], scores]
