"""What a weights file says of itself: read from a safetensors header, without torch."""

import struct
from pathlib import Path
from typing import Any

import msgspec

from models.family import ModelError
from models.preprocess import Preprocessing

MAX_HEADER = 100_000_000  # the format's own limit


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """How weights came about, as far as their file says.

    `top1` is the fraction of all test images of `dataset` that the stored weights get right, and
    `top5` that with the label among the five best answers; None with five classes or fewer.
    `epoch` is the one whose weights were kept, `settings` are those of the training, `torch` its
    version.
    """

    model: str | None = None
    dataset: str | None = None
    fingerprint: str | None = None
    top1: float | None = None
    top5: float | None = None
    epoch: int | None = None
    class_names: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    settings: dict[str, Any] = {}
    torch: str | None = None

    def encode(self) -> dict[str, str]:
        """Return the strings that a safetensors header can hold: JSON, all under one key."""
        return {"edgeworthy": msgspec.json.encode(self).decode()}


class _Header(msgspec.Struct):
    """A safetensors header, of which only the file's own words are of interest here."""

    words: dict[str, str] = msgspec.field(default_factory=dict, name="__metadata__")


def read_metadata(path: Path) -> Metadata:
    """Read what a safetensors file says of itself; all is None where it says nothing to us.

    Raises:
        ModelError: the file is not safetensors, or its words do not fit.
    """
    try:
        return msgspec.json.decode(_header(path).get("edgeworthy", "{}"), type=Metadata)
    except msgspec.MsgspecError as error:
        raise ModelError(f"the metadata of {path} is not valid: {error}; train it again") from None


def _header(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = msgspec.json.decode(stream.read(min(length, MAX_HEADER)), type=_Header)
    except (struct.error, msgspec.MsgspecError):
        raise ModelError(
            f"{path} is not a safetensors file, or is truncated; fetch or train it again"
        ) from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None
    return header.words
