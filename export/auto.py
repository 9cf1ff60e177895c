"""The fewest layers that have to stay float for an int8 file to keep its accuracy."""

from collections.abc import Callable, Sequence

Kept = tuple[str, ...]
# Up to so many layers each is tried again without the others, the least important first.
TRIED_ALONE = 8


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
