"""Decoded pixels from an array or from files, brought to a network's input size. No torch."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.preprocess import Preprocessing

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Pixels = NDArray[np.uint8]


class DataError(Exception):
    """Images cannot be had; the message says which, why and how to get them."""

    exit_code: ClassVar[int] = 2


class Source(Protocol):
    """Where images come from: the only thing that differs between kinds of data sets."""

    def sized(self, rows: Labels, preprocessing: Preprocessing) -> Pixels:
        """Return images `rows` at the network's size: ``(len(rows), C, H, W)``."""

    def digests(self, rows: Labels) -> Iterable[bytes]:
        """Yield what identifies each of the images `rows`, for a fingerprint."""


@dataclass(frozen=True)
class ArraySource:
    """Grey images ``(N, H, W)``, all in memory."""

    pixels: Pixels

    def sized(self, rows: Labels, preprocessing: Preprocessing) -> Pixels:
        """See `Source`. One grey channel of the right size is copied, without Pillow."""
        chosen = self.pixels[rows]
        if preprocessing.channels == 1 and chosen.shape[1:] == preprocessing.size:
            return chosen[:, None]
        return np.stack([fit(Image.fromarray(image), preprocessing) for image in chosen])

    def digests(self, rows: Labels) -> Iterable[bytes]:
        """See `Source`: the pixels themselves."""
        return (self.pixels[row].tobytes() for row in rows)


@dataclass(frozen=True)
class FileSource:
    """Image files, decoded when they are needed; `names` are relative to `root`."""

    root: Path
    names: tuple[str, ...]

    def sized(self, rows: Labels, preprocessing: Preprocessing) -> Pixels:
        """See `Source`.

        Raises:
            DataError: an image cannot be decoded; names the file.
        """
        return np.stack([self._read(self.root / self.names[row], preprocessing) for row in rows])

    def digests(self, rows: Labels) -> Iterable[bytes]:
        """See `Source`: the relative name and the file's bytes."""
        for row in rows:
            name = self.names[row]
            yield name.encode() + b"\0" + sha256((self.root / name).read_bytes()).digest()

    @staticmethod
    def _read(path: Path, preprocessing: Preprocessing) -> Pixels:
        try:
            with closing(Image.open(path)) as image:
                return fit(image, preprocessing)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = "not an image" if isinstance(error, UnidentifiedImageError) else error
            raise DataError(f"cannot read the image {path}: {reason}; mend or remove it") from None


def fit(image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    """Convert, resize and crop one image as `Preprocessing` says: ``(C, H, W)``, 8 bits."""
    image = image.convert("L" if preprocessing.channels == 1 else "RGB")
    height, width = preprocessing.size
    if preprocessing.resize is None:
        resized = image.resize((width, height), Image.Resampling.BILINEAR)
    else:
        resized = _centre(_shorter_side(image, preprocessing.resize), height, width)
    pixels: Pixels = np.asarray(resized, np.uint8)
    return pixels[None] if preprocessing.channels == 1 else pixels.transpose(2, 0, 1)


def _shorter_side(image: Image.Image, side: int) -> Image.Image:
    ratio = side / min(image.size)
    width, height = (max(side, round(length * ratio)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _centre(image: Image.Image, height: int, width: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def normalise(pixels: Pixels, preprocessing: Preprocessing) -> Floats:
    """Scale 8-bit ``(N, C, H, W)`` to [0, 1], subtract the mean and divide by the deviation."""
    mean, std = (
        np.asarray(values, np.float32)[:, None, None]
        for values in (preprocessing.mean, preprocessing.std)
    )
    scaled: Any = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(scaled, np.float32)
