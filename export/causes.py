"""Why a layer is weak, from its arrays: what was clipped, drowned, rounded away, or overflowed.

A layer is sound when its own signal-to-noise is what its precision gives one whose range is used.
Causes are looked for in the others only, those first that leave nothing right.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.alignment import Pair
from export.figures import Tally
from export.trace import Grid

Array = npt.NDArray[np.floating]

# Own signal-to-noise in dB: 5 good bits of 8, 8 of 11, 2 of 4, 15 of 24; a bit is 6 dB.
SOUND_DB = {"int8": 30.0, "int8-weights": 30.0, "int4-weights": 12.0, "fp16": 50.0, "fp32": 90.0}
PART = 0.25  # share of a layer's noise from which on its origin is named
TWO_BITS, THREE_BITS, FIVE_BITS = 4.0, 8.0, 32.0
FEW = 4  # channels that have a median worth the name
INT32 = 2.0**31 - 1


@dataclass(frozen=True)
class Cause:
    """Why a layer is weak: in two or three words, with figures, and what to try next."""

    name: str
    told: str
    remedy: str


@dataclass(frozen=True)
class Setting:
    """How the file was made: its precision, format, and the calibration's method and images."""

    precision: str
    format: str
    method: str | None = None
    images: int | None = None


def is_sound(tally: Tally, precision: str) -> bool:
    """Tell whether a layer is as good as its precision lets it be."""
    own = tally.own_db
    return own is None or own >= SOUND_DB[precision]


def clipped_share(tally: Tally) -> float | None:
    """Return the share of values beyond the range, if they make a good part of the noise."""
    if not tally.clipped or tally.share(tally.clipped_noise) < PART:
        return None
    return tally.clipped / tally.values


def lost_channels(
    low: Array, high: Array, got_low: Array, got_high: Array, noise: Array
) -> list[int]:
    """Return the channels that vary in the float layer and are constant in the file.

    None where they make little of the noise: a channel may well be too faint to matter.
    """
    lost = (high > low) & (got_high == got_low)
    heavy = noise.sum() > 0 and noise[lost].sum() >= PART * noise.sum()
    return np.flatnonzero(lost).tolist() if heavy else []


def outlier_channel(low: Array, high: Array) -> tuple[int, float] | None:
    """Return the channel of an activation whose range is many times the median's, and how many."""
    ranges = np.maximum(high, 0) - np.minimum(low, 0)
    alive = ranges[ranges > 0]
    if len(alive) < FEW:
        return None
    ratio = float(ranges.max() / np.median(alive))
    return (int(ranges.argmax()), ratio) if ratio >= THREE_BITS else None


def wasted_range(low: Array, high: Array, grid: Grid) -> float | None:
    """Return how many times wider than what is used a quantized range is, from 4 (2 bits) on."""
    used = max(float(high.max()), 0.0) - min(float(low.min()), 0.0)
    held = grid.high - grid.low
    return held / used if used > 0 and held / used >= TWO_BITS else None


def uneven_weights(weight: Array, scales: Array | None) -> float | None:
    """Return the widest over the median channel, of weights with one scale for all channels."""
    if scales is None or scales.size != 1 or len(weight) < 2:
        return None
    ranges = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    ratio = float(ranges.max() / max(float(np.median(ranges)), np.finfo(np.float32).tiny))
    return ratio if ratio >= TWO_BITS else None


def outlier_weight(weight: Array, scales: Array | None) -> tuple[int, float] | None:
    """Return the output channel with the widest weight over the median one, and that ratio.

    With one scale for the whole weight the median is the whole weight's. Below a ratio of 32 the
    median weight still has four levels of 127.
    """
    sizes = np.abs(weight).reshape(len(weight), -1)
    whole = scales is not None and scales.size == 1
    medians = np.full(len(sizes), np.median(sizes)) if whole else np.median(sizes, axis=1)
    ratios = sizes.max(axis=1) / np.maximum(medians, np.finfo(np.float32).tiny)
    ratios[sizes.max(axis=1) == 0] = 0
    worst = int(ratios.argmax())
    return (worst, float(ratios[worst])) if ratios[worst] >= FIVE_BITS else None


def overflowing_biases(bias: Array, scales: Array) -> list[int]:
    """Return the channels whose bias, in steps of its scale, does not fit into 32 bits."""
    return np.flatnonzero(np.abs(bias) > INT32 * np.broadcast_to(scales, bias.shape)).tolist()


def flushed_share(tally: Tally) -> float | None:
    """Return the share of values that float16 is too coarse for and made zero, from 1 % on."""
    share = tally.flushed / tally.values if tally.values else 0.0
    return share if share >= 0.01 else None


def find(pair: Pair, tally: Tally, setting: Setting) -> list[Cause]:
    """Return why a layer is weak, the gravest cause first; nothing for a sound layer."""
    if is_sound(tally, setting.precision):
        return []
    keep = f"--keep-float {pair.layer.name.partition('#')[0]}"
    found = [
        *_overflows(pair, tally, keep),
        *_ranges(tally, setting, keep),
        *(_weights(pair, keep) if tally.share(tally.weight_noise) >= 0.5 else ()),
        *_activations(tally, setting, keep),
    ]
    if found:
        return found
    told = f"{tally.share(tally.weight_noise):.0%} of its noise comes from its weights"
    return [Cause("rounding", told, f"{keep}, or let --auto find the fewest such layers")]


def _overflows(pair: Pair, tally: Tally, keep: str) -> Iterator[Cause]:
    if tally.not_finite:
        told = f"{tally.not_finite:,} of {tally.values:,} values are not finite"
        yield Cause("float16 overflow", told, f"{keep}, or --precision fp32")
    weight = pair.step.weight if pair.step else None
    if weight is None or weight.bias_scales is None or pair.layer.bias is None:
        return
    if channels := overflowing_biases(pair.layer.bias, weight.bias_scales):
        told = f"the bias of {_channels(channels)} does not fit into 32 bits at its scale"
        yield Cause("bias overflow", f"{told}: its weights are nearly zero", keep)


def _ranges(tally: Tally, setting: Setting, keep: str) -> Iterator[Cause]:
    half = tally.grid is not None and not tally.grid.step
    if (share := clipped_share(tally)) is not None and tally.grid is not None:
        told = (
            f"{share:.2%} of its values lie beyond {tally.grid.low:.4g} to {tally.grid.high:.4g}, "
            f"{tally.share(tally.clipped_noise):.0%} of its noise"
        )
        remedy = f"{keep}, or --precision fp32" if half else _wider(setting)
        yield Cause("float16 overflow" if half else "saturation", told, remedy)
    if (flushed := flushed_share(tally)) is not None:
        told = f"{flushed:.1%} of its values are too small for float16 and become 0"
        yield Cause("float16 underflow", told, keep)
    lost = lost_channels(tally.low, tally.high, tally.got_low, tally.got_high, tally.noise)
    if lost:
        told = f"{_channels(lost)} of {len(tally.low)} constant in the file, and not in the network"
        yield Cause("zero-range channel", told, keep)


def _wider(setting: Setting) -> str:
    more = f"calibrate with more images, of every kind: --images {4 * (setting.images or 128)}"
    if setting.method and setting.method.startswith("min-max"):
        return more
    return f"--calibration-method min-max; or {more}"


def _weights(pair: Pair, keep: str) -> Iterator[Cause]:
    weight = pair.step.weight if pair.step else None
    if weight is None or pair.layer.weight is None:
        return
    if (ratio := uneven_weights(pair.layer.weight, weight.scales)) is not None:
        told = f"one scale for {len(weight.values)} channels, the widest {ratio:.0f} x the median"
        remedy = f"quantize the weights per channel, as 'edgeworthy export' does; or {keep}"
        yield Cause("per-tensor weights", told, remedy)
    elif (outlier := outlier_weight(pair.layer.weight, weight.scales)) is not None:
        channel, ratio = outlier
        told = f"a weight of channel {channel} is {ratio:.0f} x the median one"
        yield Cause("outlier weight", told, keep)


def _activations(tally: Tally, setting: Setting, keep: str) -> Iterator[Cause]:
    if tally.grid is None or not tally.grid.step:
        return
    if (outlier := outlier_channel(tally.low, tally.high)) is not None:
        channel, ratio = outlier
        told = f"channel {channel} is {ratio:.0f} x as wide as the median of {len(tally.low)}"
        other = "" if (setting.method or "") == "percentile" else "--calibration-method percentile"
        yield Cause("outlier channel", told, " or ".join(filter(None, [keep, other])))
    if (ratio := wasted_range(tally.low, tally.high, tally.grid)) is not None:
        told = (
            f"its range {tally.grid.low:.4g} to {tally.grid.high:.4g} is {ratio:.0f} x what is used"
        )
        remedy = "check the preprocessing of the calibration images (--data, --mean, --std)"
        yield Cause("wasted range", told, remedy)


def _channels(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:3]))
    return f"channel {shown}" if len(numbers) == 1 else f"{len(numbers)} channels ({shown}, ...)"
