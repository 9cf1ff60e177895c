"""Labelled images: Fashion-MNIST, any other set in IDX files, or a folder of images by class."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from models import idx
from models.images import (
    ArraySource,
    DataError,
    FileSource,
    Floats,
    Labels,
    Source,
    normalise,
)
from models.preprocess import Preprocessing

Split = Literal["train", "test"]
KNOWN = {"fashion-mnist": idx.read_fashion_mnist}
FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val")}
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Dataset:
    """Labelled images of one split. `rows` are those of the source that belong to this set.

    `classes` are names in the order of the labels; `note` is for the user to read, where the
    set is not quite what was asked for.
    """

    name: str
    classes: tuple[str, ...]
    source: Source
    rows: Labels
    labels: Labels
    note: str | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 over every image and label, in order; for files over names and contents."""
        total = sha256()
        for digest, label in zip(self.source.digests(self.rows), self.labels, strict=True):
            total.update(digest + int(label).to_bytes(4, "big"))
        return total.hexdigest()

    def sample(self, n: int, seed: int) -> "Dataset":
        """Return `n` images drawn by `seed`, the classes as even and as mixed as they can be.

        Raises:
            DataError: `n` is not between 1 and the number of images.
        """
        if not 1 <= n <= len(self):
            raise DataError(
                f"{n} images wanted, {self.name} has {len(self)}: ask for as many with --images"
            )
        order = np.random.default_rng(seed).permutation(len(self))
        turn = np.empty(len(self), np.int64)  # a class's first image is 0, its second is 1, ...
        for label in np.unique(self.labels):
            of_class = np.flatnonzero(self.labels[order] == label)
            turn[of_class] = np.arange(len(of_class))
        chosen = order[np.argsort(turn, kind="stable")[:n]]
        return replace(self, rows=self.rows[chosen], labels=self.labels[chosen])

    def batches(
        self,
        preprocessing: Preprocessing,
        batch: int,
        limit: int | None = None,
        seed: int | None = None,
    ) -> Iterator[tuple[Floats, Labels]]:
        """Yield float32 images ``(n, C, H, W)``, preprocessed, and labels ``(n,)``; n <= `batch`.

        In order, or shuffled by `seed`; the first `limit` images of that order.

        Raises:
            DataError: an image cannot be decoded; names the file.
        """
        order = np.arange(len(self))
        if seed is not None:
            order = np.random.default_rng(seed).permutation(len(self))
        order = order[:limit]
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            pixels = self.source.sized(self.rows[chosen], preprocessing)
            yield normalise(pixels, preprocessing), self.labels[chosen]


def open_dataset(source: str, split: Split) -> Dataset:
    """Open a data set by name (``fashion-mnist``), or a directory.

    A directory holds the four IDX files of MNIST's layout (.gz or not), or images in one folder a
    class, either directly or below ``train/`` and ``test/`` or ``val/``.

    Raises:
        DataError: no such name or directory, no images there, or files that are not what they
            should be.
    """
    folder = Path(source).expanduser()
    if source in KNOWN:
        return _from_idx(KNOWN[source](split))
    if not folder.is_dir():
        raise _unknown(source)
    return _from_idx(idx.read(folder, split)) if idx.holds(folder) else _from_images(folder, split)


def _unknown(source: str) -> DataError:
    near = difflib.get_close_matches(source, KNOWN, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return DataError(
        f"no data set and no folder is called '{source}'{hint}; "
        f"the known name is {', '.join(KNOWN)}, else give a folder with images by class"
    )


def _from_idx(found: idx.IdxSet) -> Dataset:
    rows = np.arange(len(found.labels))
    return _checked(
        Dataset(found.name, found.classes, ArraySource(found.pixels), rows, found.labels)
    )


def _from_images(folder: Path, split: Split) -> Dataset:
    parts = {kind: _first_split(folder, names) for kind, names in FOLDERS.items()}
    present = [part for part in parts.values() if part]
    root = parts[split] or (present[0] if present else folder)
    shared = None if len(present) == len(parts) else "the same images for training and testing"
    classes = tuple(sorted({name for part in present or [folder] for name in _folders(part)}))
    files = [(path, label) for label, name in enumerate(classes) for path in _images(root / name)]
    names = tuple(path.relative_to(root).as_posix() for path, _ in files)
    labels = np.array([label for _, label in files], np.int64)
    note = f"{folder} has no train/ and test/ (or val/) both: {shared}" if shared else None
    source, rows = FileSource(root, names), np.arange(len(names))
    return _checked(Dataset(folder.resolve().name, classes, source, rows, labels, note))


def _first_split(folder: Path, names: tuple[str, ...]) -> Path | None:
    """A class may be called train: a split's folder holds folders, a class's holds images."""
    return next((folder / name for name in names if _folders(folder / name)), None)


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _checked(dataset: Dataset) -> Dataset:
    if not len(dataset):
        raise DataError(f"{dataset.name} has no images; it needs one folder of images a class")
    if len(dataset.classes) < 2:
        raise DataError(f"{dataset.name} has one class, {dataset.classes[0]}; it needs two or more")
    return dataset
