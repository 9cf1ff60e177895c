"""When warm-up is over. Pure."""

from collections.abc import Sequence

import numpy as np

from bench.trend import trend

WINDOW = 8
HALVES = 0.05
DRIFT = 0.01
SIGNIFICANT = 0.05


def is_steady(blocks: Sequence[float], window: int = WINDOW) -> bool:
    """Tell whether warm-up is over, from the medians of successive blocks of invocations.

    Looked at are the last `window` blocks, or the later half if there are more: what moves slowly
    only shows in a longer stretch. They are steady if the median of their later half differs from
    that of the earlier by at most `HALVES`, and no trend leads by more than `DRIFT` from one end to
    the other (Mann-Kendall, p < `SIGNIFICANT`). Medians of medians: single outliers do not count,
    while a clock that still rises or a cache that still fills moves one half against the other.
    """
    if len(blocks) < window:
        return False
    recent = np.asarray(blocks[-max(window, len(blocks) // 2) :], dtype=np.float64)
    half = len(recent) // 2
    early, late = np.median(recent[:half]), np.median(recent[half:])
    if abs(late - early) > HALVES * early:
        return False
    moving = trend(recent)
    return not (moving.p < SIGNIFICANT and abs(moving.change) > DRIFT)
