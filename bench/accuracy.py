"""Accuracy of an artifact as it runs on the device: images preprocessed here, classified there."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.record import Accuracy
from devices.device import Session
from export.artifact import Contract, Manifest

# Images classified in one request: a slow device must answer it within the job's time limit.
BATCH = 32
TOP = 5


class Images(Protocol):
    """Labelled images, as `models.data.Dataset` gives them."""

    @property
    def name(self) -> str:
        """What the set is called."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names in the order of the labels."""

    @property
    def fingerprint(self) -> str:
        """A hash of every image and label."""

    def __len__(self) -> int: ...

    def batches(
        self, preprocessing: Any, batch: int
    ) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """Yield images (n, C, H, W), as a manifest's preprocessing says, and labels (n,)."""


class AccuracyTest:
    """Classifies a set of images with one artifact after another.

    The preprocessed images are kept in `scratch`, once for each preprocessing and layout, so that
    the artifacts of one network share them.
    """

    def __init__(self, images: Images, scratch: Path) -> None:
        self.images = images
        self._scratch = scratch
        self._files: dict[tuple[Any, str], list[Path]] = {}
        self._labels: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._preparing = threading.Lock()

    def misfit(self, manifest: Manifest) -> str | None:
        """Return why these images cannot test this artifact, or None if they can."""
        contract, name, count = manifest.contract, self.images.name, len(self.images.classes)
        if contract.preprocessing is None or len(contract.inputs) != 1:
            return "its manifest does not say how an image becomes its input"
        outputs = contract.outputs[0].shape
        if len(outputs) != 2 or outputs[1] != count:
            return f"it gives {outputs[-1]} figures, {name} has {count} classes"
        # Images by number, as in IDX files, have no names to compare.
        unnamed = tuple(map(str, range(count)))
        if contract.classes not in (None, unnamed) and self.images.classes not in (
            unnamed,
            contract.classes,
        ):
            ours, theirs = (", ".join(c[:3]) for c in (contract.classes or (), self.images.classes))
            return f"its classes ({ours}, ...) are not those of {name} ({theirs}, ...), in order"
        return None

    def measure(self, session: Session, manifest: Manifest) -> Accuracy:
        """Classify all images.

        Raises:
            WorkerError: the worker could not.
        """
        top = min(TOP, len(self.images.classes) - 1)
        files = self._prepared(manifest.contract)
        best = np.array([row for file in files for row in session.predict(file, top)])
        hits = best == self._labels[:, None]
        return Accuracy(
            dataset=self.images.name,
            fingerprint=self.images.fingerprint,
            images=len(self.images),
            top1=float(hits[:, 0].mean()),
            top5=float(hits.any(axis=1).mean()) if top == TOP else None,
        )

    def _prepared(self, contract: Contract) -> list[Path]:
        assert contract.preprocessing is not None
        key = (contract.preprocessing, contract.inputs[0].layout)
        with self._preparing:
            if key not in self._files:
                self._files[key] = self._write(*key)
            return self._files[key]

    def _write(self, preprocessing: Any, layout: str) -> list[Path]:
        folder = self._scratch / str(len(self._files))
        folder.mkdir()
        order = (0, *(1 + "CHW".index(axis) for axis in layout.removeprefix("N")))
        labels: list[npt.NDArray[np.int64]] = []
        files: list[Path] = []
        for images, of_these in self.images.batches(preprocessing, BATCH):
            files.append(folder / f"{len(files):06}.npy")
            np.save(files[-1], np.ascontiguousarray(images.transpose(order)))
            labels.append(of_these)
        self._labels = np.concatenate(labels)
        return files
