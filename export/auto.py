"""The fewest layers that have to stay float for an int8 file to keep its accuracy."""

from collections.abc import Callable, Sequence

from export.diagnose import Diagnosis
from export.reference import readers

Kept = tuple[str, ...]
# Up to so many layers each is tried again without the others, the least important first.
TRIED_ALONE = 8


def by_noise(diagnosis: Diagnosis) -> list[str]:
    """Return the modules with weights, those first whose own error does most to the output.

    Each is followed by those that read it, since its output is stored in integers as long as one of
    them computes in integers; what has no weights stands for what it reads. All but the last: with
    every layer in float it were no int8 file.
    """
    layers = [found.pair.layer for found in diagnosis.layers]
    weighted = [layer.name for layer in layers if layer.weight is not None]
    order: list[str] = []
    for found in diagnosis.ranked:
        layer = found.pair.layer
        own = {layer.name} if layer.weight is not None else layer.feeds
        order += [name for name in weighted if name in own] + readers(layer, layers)
    # The second run of a module is called NAME#2 in a diagnosis.
    return list(dict.fromkeys(name.partition("#")[0] for name in [*order, *weighted]))[:-1]


def fewest(order: Sequence[str], good: Callable[[Kept], bool]) -> Kept | None:
    """Return as few layers as can be found whose staying float is good enough.

    The shortest beginning of `order` that will do is found by doubling and halving; then layers
    that it does without are left out. That none do is known to fail, and is not tried.

    Args:
        order: layers, that which costs most accuracy first.
        good: makes the file with these layers in float, in `order`, and tells whether it will do.

    Returns:
        The layers in `order`; None if not even all of them will do.
    """
    tried: dict[Kept, bool] = {(): False}

    def will_do(kept: Kept) -> bool:
        if kept not in tried:
            tried[kept] = good(kept)
        return tried[kept]

    count = _shortest(len(order), lambda n: will_do(tuple(order[:n])))
    if count is None:
        return None
    kept = tuple(order[:count])
    for name in reversed(kept[:-1] if count <= TRIED_ALONE else ()):
        without = tuple(other for other in kept if other != name)
        if will_do(without):
            kept = without
    return kept


def _shortest(most: int, good: Callable[[int], bool]) -> int | None:
    """Return the smallest number from 1 to `most` that is good, where all above a good one are."""
    high = 1
    while high < most and not good(high):
        high *= 2
    bad, high = high // 2, min(high, most)
    if high == most and not (most and good(most)):
        return None
    while high - bad > 1:
        middle = (bad + high) // 2
        bad, high = (bad, middle) if good(middle) else (middle, high)
    return high
