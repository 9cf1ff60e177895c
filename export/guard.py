"""What is wrong with calibration images, said before they set a range.

Ranges taken from too few images, from one class, or from images prepared in another way than the
network was trained on make the int8 file that detects nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from export.precision import ExportError

Array = npt.NDArray[Any]
FEW = 16
# A first batch norm whose inputs have a mean this many standard deviations from what training saw,
# or a variance this many times it (or a part of it), sees other images. On the committed MobileNet
# 64 images of Fashion-MNIST are 0.01 and 0.93; prepared with mean and deviation 0.5 they are 0.45
# and 0.46, left in [0, 1] 0.30 and 0.12, left in [0, 255] 76 and 7,600.
FAR_MEAN, FAR_VARIANCE = 0.35, 1.8
NORMAL_DEVIATION = (0.1, 10.0)
# Of 255: that no image has a pixel beyond is no chance among as many as set ranges.
DARK, LIGHT = 64, 191
REMEDY = "check the preprocessing (--mean, --std) and that --data holds the network's own images"


@dataclass(frozen=True)
class Drift:
    """How the first batch norm's inputs differ from its running statistics: medians over channels.

    `mean` is the distance of the means in running standard deviations, `variance` the ratio of the
    variances.
    """

    mean: float
    variance: float

    @property
    def far(self) -> bool:
        """Whether the network was trained on other images."""
        off = self.variance > FAR_VARIANCE or self.variance < 1 / FAR_VARIANCE
        return self.mean > FAR_MEAN or off


def check(
    images: Array,
    labels: Array,
    source: str,
    *,
    classes: int | None = None,
    drift: Drift | None = None,
    pixels: Array | None = None,
) -> tuple[str, ...]:
    """Return what the user should know of the calibration images.

    Args:
        images: as the network gets them, ``(N, C, H, W)``.
        labels: their classes, ``(N,)``.
        source: the data set's name.
        classes: how many classes the network tells; None if it is not known to tell any.
        drift: what the first batch norm says of them; None if there is none that was trained.
        pixels: the images as pixels from 0 to 255; None if it is not known how they were prepared.

    Raises:
        ExportError: the images are all the same, so that no range can come from them.
    """
    if not np.any(images != images[:1]) and (len(images) > 1 or _constant(images).all()):
        kind = "one constant" if _constant(images).all() else "the same image"
        raise ExportError(
            f"all {len(images)} calibration images of {source} are {kind}; give real images"
        )
    shades = () if pixels is None else _shades(pixels)
    return (*_doubts(images, labels, classes, drift), *shades)


def _shades(pixels: Array) -> Iterator[str]:
    """Doubt images that leave out a quarter of the scale or more: a file clips what lies there."""
    darkest, brightest = float(pixels.min()), float(pixels.max())
    word, bound = ("brighter", brightest) if brightest < LIGHT else ("darker", darkest)
    if brightest < LIGHT or darkest > DARK:
        yield (
            f"no pixel of the images is {word} than {bound:.0f} of 255: the int8 file clips "
            f"{word} ones; give images as bright and as dark as the network will see"
        )


def _doubts(
    images: Array, labels: Array, classes: int | None, drift: Drift | None
) -> Iterator[str]:
    if len(images) < max(FEW, classes or 0):
        enough = max(128, classes or 0)
        yield f"only {len(images)} images set the ranges; give {enough} with --images {enough}"
    if flat := int(_constant(images).sum()):
        yield f"{flat} of {len(images)} images are one constant colour"
    shown = len(np.unique(labels))
    if classes and shown < classes:
        yield f"the images are of {shown} of the {classes} classes that the network tells"
    if drift:
        if drift.far:
            yield (
                "the images are not what the network was trained on: at the first batch norm "
                f"their mean is {drift.mean:.1f} deviations off and their variance "
                f"{drift.variance:.2g} times what training saw; {REMEDY}"
            )
    elif not NORMAL_DEVIATION[0] < (deviation := float(images.std())) < NORMAL_DEVIATION[1]:
        yield (
            f"the prepared images have mean {images.mean():.2g} and deviation {deviation:.2g}, "
            f"normalised ones about 0 and 1; {REMEDY}"
        )


def _constant(images: Array) -> Array:
    """Return for each image whether every channel is of one value."""
    planes = images.reshape(*images.shape[:2], -1)
    constant: Array = (planes.max(-1) == planes.min(-1)).all(-1)
    return constant
