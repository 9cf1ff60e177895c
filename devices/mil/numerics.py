"""Half precision, operator by operator, and what may go wrong in it."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

# The smallest normal float16: below it digits are lost, and some chips give zero.
SMALLEST_NORMAL = 2.0**-14
MOSTLY = 0.5


@dataclass(frozen=True)
class Alarm:
    """What an operator's result lost: `operator` is its first output's name, `share` of values.

    Overflow: finite in float32 but infinite in float16, or not a number. Underflow: most values
    that are not zero lose digits, or all of them, below the smallest normal float16. Saturation:
    values that a quantize operator clipped.
    """

    kind: Literal["overflow", "underflow", "saturation"]
    operator: str
    share: float


def halved(x: Tensor) -> Tensor:
    """Return `x` rounded to half precision, held in float32."""
    return x.half().float()


def alarm(operator: str, exact: Tensor, rounded: Tensor) -> Alarm | None:
    """Return what rounding a result, or computing it, lost; None if nothing to speak of."""
    if not _finite(rounded):
        lost = (torch.isinf(rounded) & torch.isfinite(exact)) | torch.isnan(rounded)
        share = float(lost.float().mean())
        return Alarm("overflow", operator, share) if share else None
    if exact is rounded or _mostly_normal(exact):
        return None
    lossy = int(((exact.abs() < SMALLEST_NORMAL) & (exact != rounded)).sum())
    if not lossy:
        return None
    share = lossy / int(torch.count_nonzero(exact))
    return Alarm("underflow", operator, share) if share > MOSTLY else None


def _finite(x: Tensor) -> bool:
    """Tell whether all values are finite, by the two that a single pass finds."""
    return not x.numel() or all(math.isfinite(limit) for limit in torch.aminmax(x))


def _mostly_normal(x: Tensor) -> bool:
    """Tell whether too few values are small for an underflow alarm.

    Every operator of every run asks: in place, and counting in floats, it takes a tenth of the time
    of the masks that answer exactly.
    """
    normal = x.abs().ge_(SMALLEST_NORMAL).sum()
    return bool(normal >= (1 - MOSTLY) * x.abs().gt_(0).sum())
