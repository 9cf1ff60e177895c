"""Why a layer is weak, from its arrays: what was clipped, drowned, rounded away, or overflowed.

A layer is sound when its own error leaves the output as good as its precision gives where ranges
are used. Causes are looked for in the others only, those first that leave nothing right.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.alignment import Pair
from export.diagnose import Found
from export.figures import Tally, energy, snr_db
from export.trace import Grid

Array = npt.NDArray[np.floating]

# Signal-to-noise in dB of the output with one layer's error: 5 good bits of 8, 8 of 11, 2 of 4, 15
# of 24; a bit is 6 dB.
SOUND_DB = {"int8": 30.0, "int8-weights": 30.0, "int4-weights": 12.0, "fp16": 50.0, "fp32": 90.0}
PART = 0.25  # share of a layer's noise from which on its origin is named
TWO_BITS, THREE_BITS, FIVE_BITS = 4.0, 8.0, 32.0
FEW = 4  # channels that have a median worth the name
INT32 = 2.0**31 - 1
# Rounding to a grid that holds zero, and clipping to one, change no number by more than its size:
# each leaves at least 0 dB, less a tenth for the two sides' own float arithmetic.
NO_ROUNDING_DB = -0.1
# 6 dB left of 8 bits, where the range is used and no channel sets it alone: values would have to be
# a 440th of the range in the mean, as with one value in 200,000 that is not zero.
HARDLY_ROUNDING_DB = 6.0


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


def is_sound(found: Found, precision: str) -> bool:
    """Tell whether a layer is as good as its precision lets it be."""
    return found.output_db is None or found.output_db >= SOUND_DB[precision]


def clipped_share(tally: Tally) -> float | None:
    """Return the share of values beyond the range, if they make a good part of the noise."""
    if not tally.clipped or tally.share(tally.clipped_noise) < PART:
        return None
    return tally.clipped_share


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
    part = tally.flushed / tally.values if tally.values else 0.0
    return part if part >= 0.01 else None


def unlike_weights(weight: Array, stored: Array) -> float | None:
    """Return stored weights' signal-to-noise in dB, if no rounding makes it that low.

    Weights that have nothing in common are at -3 dB.
    """
    level = snr_db(energy(weight), energy(weight - stored.reshape(weight.shape)))
    return level if level is not None and level < NO_ROUNDING_DB else None


def unlike_values(tally: Tally, least: float) -> float | None:
    """Return a layer's own signal-to-noise in dB, if it is below `least` and not for its weights.

    A sum can lose more than it is to rounded weights, where its terms cancel.
    """
    level = tally.own_db
    low = level is not None and level < least
    return level if low and tally.share(tally.weight_noise) < 0.5 else None


def find(found: Found, setting: Setting, readers: Sequence[str]) -> list[Cause]:
    """Return why a layer is weak, the gravest cause first; nothing for a sound layer.

    `readers` are the layers with weights that read it: what a layer gives is stored in 8 bits as
    long as one that reads it computes in them.
    """
    pair, tally = found.pair, found.tally
    if tally is None or is_sound(found, setting.precision):
        return []
    own = [pair.layer.name] if pair.layer.weight is not None else []
    alone, around = _kept(own), _kept([*own, *readers])
    overflows = list(_overflows(pair, tally, alone))
    if not overflows and (unlike := _unlike(pair, tally, NO_ROUNDING_DB)):
        return [unlike]
    causes = [
        *overflows,
        *_ranges(tally, setting, around),
        *(_weights(pair, alone) if tally.share(tally.weight_noise) >= 0.5 else ()),
        *_activations(tally, setting, around),
    ]
    if causes:
        return causes
    lost = lost_channels(tally.low, tally.high, tally.got_low, tally.got_high, tally.noise)
    if lost:
        told = f"{_channels(lost)} of {len(tally.low)} constant in the file, and not in the network"
        return [Cause("zero-range channel", told, around)]
    if unlike := _unlike(pair, tally, HARDLY_ROUNDING_DB):
        return [unlike]
    told = f"{tally.share(tally.weight_noise):.0%} of its noise comes from its weights"
    return [Cause("rounding", told, f"{around}, or --auto, which finds the fewest such layers")]


def _kept(names: Sequence[str]) -> str:
    """Return the option that keeps layers float; one that is run twice is there once."""
    plain = dict.fromkeys(name.partition("#")[0] for name in names)
    return f"--keep-float {','.join(plain)}" if plain else "--auto"


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


def _unlike(pair: Pair, tally: Tally, least: float) -> Cause | None:
    weight = pair.step.weight if pair.step else None
    what, level = "values", unlike_values(tally, least)
    if weight is not None and pair.layer.weight is not None:
        from_weights = unlike_weights(pair.layer.weight, weight.values)
        what, level = ("values", level) if from_weights is None else ("weights", from_weights)
    if level is None:
        return None
    told = f"its {what} are other numbers than the network's, {level:.1f} dB: no rounding does that"
    return Cause("other numbers", told, "export it again, or name its network with --model")


def _ranges(tally: Tally, setting: Setting, keep: str) -> Iterator[Cause]:
    half = tally.grid is not None and not tally.grid.step
    if (share := clipped_share(tally)) is not None and tally.grid is not None:
        told = (
            f"{share:.2%} of its values lie beyond {tally.grid.low:.4g} to {tally.grid.high:.4g}, "
            f"{tally.share(tally.clipped_noise):.0%} of its noise"
        )
        remedy = f"{keep}, or --precision fp32" if half else _wider(setting, keep)
        yield Cause("float16 overflow" if half else "saturation", told, remedy)
    if (flushed := flushed_share(tally)) is not None:
        told = f"{flushed:.1%} of its values are too small for float16 and become 0"
        yield Cause("float16 underflow", told, keep)


def _wider(setting: Setting, keep: str) -> str:
    if setting.method in {"percentile", "entropy"}:
        return f"--calibration-method min-max, or {keep}"
    more = 4 * (setting.images or 32)
    return f"calibrate with more images, of every kind: --images {more}; or {keep}"


def _weights(pair: Pair, keep: str) -> Iterator[Cause]:
    weight = pair.step.weight if pair.step else None
    if weight is None or pair.layer.weight is None:
        return
    if (uneven := uneven_weights(pair.layer.weight, weight.scales)) is not None:
        told = f"one scale for {len(weight.values)} channels, the widest {uneven:.0f} x the median"
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
    if (factor := wasted_range(tally.low, tally.high, tally.grid)) is not None:
        held = f"{tally.grid.low:.4g} to {tally.grid.high:.4g}"
        told = f"its range {held} is {factor:.0f} x what is used"
        remedy = "check the preprocessing of the calibration images (--data, --mean, --std)"
        yield Cause("wasted range", told, remedy)


def _channels(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:3]))
    return f"channel {shown}" if len(numbers) == 1 else f"{len(numbers)} channels ({shown}, ...)"
