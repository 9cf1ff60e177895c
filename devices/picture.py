"""A network's input as the image file that an app would send, and such a file as an input again."""

from io import BytesIO
from typing import Any

import numpy as np

# A JPEG as phones' cameras and browsers' canvases write it.
QUALITY = 90
# Decoders differ by a step or two of 255: an answer counts where its best score leads the second by
# more of the scores' range than that could move it.
LEAD = 0.1


def file(row: Any, layout: str, steps: dict[str, Any], kind: str) -> bytes:
    """Return an input as an image file of the network's own size: its preprocessing undone.

    Args:
        row: float32, (C, H, W), or (H, W, C) where `layout` is NHWC.
        layout: NCHW or NHWC.
        steps: the manifest's preprocessing; its mean and deviation are undone.
        kind: jpeg or png. What is beyond black and white is cut off, by PNG, too.
    """
    from PIL import Image

    planes = row if layout == "NHWC" else row.transpose(1, 2, 0)
    scaled = planes * np.asarray(steps["std"]) + np.asarray(steps["mean"])
    pixels = (scaled * 255).round().clip(0, 255).astype(np.uint8)
    written = BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.save(written, kind, **({"quality": QUALITY} if kind == "jpeg" else {}))
    return written.getvalue()


def row(file: bytes, layout: str, steps: dict[str, Any]) -> Any:
    """Return the input that a file of the network's own size stands for: see `file`."""
    from PIL import Image

    with Image.open(BytesIO(file), formats=("JPEG", "PNG")) as image:
        pixels = np.asarray(image, np.float32)
    planes = pixels.reshape(*pixels.shape[:2], -1) / np.float32(255)
    scaled = (planes - np.asarray(steps["mean"])) / np.asarray(steps["std"])
    return np.asarray(scaled if layout == "NHWC" else scaled.transpose(2, 0, 1), np.float32)


def agreement(right: Any, found: Any) -> tuple[int, int]:
    """Return how many rows have the same best class in both, and how many are decided in `right`.

    Args:
        right: scores, (N, classes).
        found: those to be judged; only rows that are decided in `right` count.
    """
    right, found = right.reshape(len(right), -1), found.reshape(len(found), -1)
    if right.shape[1] < 2:
        return 0, 0
    ordered = np.sort(right, axis=1)
    decided = ordered[:, -1] - ordered[:, -2] > LEAD * np.ptp(right, axis=1)
    same = right.argmax(axis=1) == found.argmax(axis=1)
    return int((same & decided).sum()), int(decided.sum())
