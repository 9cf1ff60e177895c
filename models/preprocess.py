"""How an image becomes a network's input: data without a library, so that a manifest carries it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Preprocessing:
    """The steps from a decoded 8-bit image to one input of shape ``(channels, *size)``, float32.

    In order: convert to `channels` (1 is luminance, 3 is RGB), resize so that the shorter side is
    `resize` pixels (bilinear, antialiased; None: resize to exactly `size`), take the centre of
    `size`, divide by 255, subtract `mean` and divide by `std` per channel.
    """

    channels: Literal[1, 3]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | None = None

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"preprocessing needs {self.channels} means and standard deviations")
        if min(self.size) < 1 or min(self.std) <= 0:
            raise ValueError("preprocessing needs a positive size and positive standard deviations")
