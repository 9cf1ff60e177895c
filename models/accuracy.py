"""Top-1 and top-5: the share of images whose label is the best, or among the five best, answers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.data import Dataset
from models.preprocess import Preprocessing


@dataclass(frozen=True)
class Accuracy:
    """Shares of images between 0 and 1; `top5` is None where there are five classes or fewer."""

    top1: float
    top5: float | None


class Tally:
    """Counts right answers over batches."""

    def __init__(self) -> None:
        self._images = self._first = self._among_five = 0
        self._classes = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: `logits` ``(N, classes)``, `labels` ``(N,)``."""
        self._images += len(labels)
        self._classes = logits.shape[1]
        self._first += int((logits.argmax(1) == labels).sum())
        best = logits.topk(min(5, self._classes)).indices
        self._among_five += int((best == labels[:, None]).sum())

    def accuracy(self) -> Accuracy:
        """Return the shares so far; at least one batch must have been counted."""
        top5 = self._among_five / self._images if self._classes > 5 else None
        return Accuracy(self._first / self._images, top5)


def evaluate(
    module: nn.Module, data: Dataset, preprocessing: Preprocessing, batch: int = 256
) -> Accuracy:
    """Return the accuracy of `module`, as it is set (training or evaluation), on all of `data`.

    Raises:
        DataError: an image cannot be decoded.
    """
    tally = Tally()
    with torch.inference_mode():
        for images, labels in data.batches(preprocessing, batch):
            tally.add(module(torch.from_numpy(images)), torch.from_numpy(labels))
    return tally.accuracy()
