"""What a training's epochs came to, as rows: for the terminal, a CSV file and a picture."""

import csv
import io
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images.

    `lr` is the highest rate of any layer at the epoch's end; `loss` and the training accuracy are
    means over its steps, on augmented images. Accuracies are shares between 0 and 1: `val_` those
    of the held-out images, None without; `top5` None with five classes or fewer.
    """

    epoch: int
    lr: float
    loss: float
    train_top1: float
    train_top5: float | None
    val_top1: float | None
    val_top5: float | None
    seconds: float

    @property
    def text(self) -> str:
        """Return one line for the terminal, without the epoch's number."""
        parts = [f"loss {self.loss:.4f}", f"top-1 {100 * self.train_top1:.2f} %"]
        if self.val_top1 is not None:
            parts.append(f"held out {100 * self.val_top1:.2f} %")
        return ", ".join([*parts, f"{self.seconds:.0f} s"])


def as_csv(log: list[Epoch]) -> str:
    """Return the log as CSV with a header; a value that is not there is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _shown(v) for k, v in asdict(row).items()} for row in log)
    return text.getvalue()


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def best_epoch(log: list[Epoch]) -> int:
    """Return the number of the epoch to keep: the first best on held-out images, else the last."""
    held = [(row.val_top1, -row.epoch) for row in log if row.val_top1 is not None]
    return -max(held)[1] if held else log[-1].epoch
