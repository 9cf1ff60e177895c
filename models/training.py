"""Training on the CPU: one recipe a family, the same weights from the same seed."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from models.checkpoint import create, save
from models.data import Dataset
from models.family import ModelError, Spec
from models.images import ArraySource, Floats
from models.metadata import Metadata
from models.preprocess import Preprocessing


@dataclass(frozen=True)
class Recipe:
    """How to train. One cycle of the learning rate: a linear warm-up, then a half cosine to zero.

    `shift` is the farthest random displacement as a share of the image's side; `flip` mirrors
    half of the images.
    """

    epochs: int = 30
    batch: int = 128
    lr: float = 0.1
    optimizer: Literal["sgd", "adamw"] = "sgd"
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    warm_up: float = 0.1
    shift: float = 0.08
    flip: bool = True

    def steps(self, images: int) -> int:
        """Return the steps of an epoch; a single image left over teaches batch norm nothing."""
        whole, rest = divmod(images, self.batch)
        return whole + (rest > 1)


RECIPES = {
    "lenet": Recipe(lr=4e-3, optimizer="adamw", weight_decay=1e-4, shift=0.0),
    "mobilenet": Recipe(epochs=20, lr=0.2),
}


@dataclass(frozen=True)
class Step:
    """What is told after each step; a whole number of epochs ends an epoch."""

    epochs_done: float
    loss: float


Progress = Callable[[Step], None]


def recipe_for(spec: Spec) -> Recipe:
    """Return the family's recipe."""
    return RECIPES.get(spec.family, Recipe())


@contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Seed torch and fix its threads for a while; both are as they were afterwards."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def preprocessing_for(spec: Spec, data: Dataset) -> Preprocessing:
    """Return the network's size with the grey images' own statistics, or the family's for files.

    Raises:
        ModelError: the network's input is not an image.
    """
    if spec.preprocessing is None:
        raise ModelError(f"'{spec.name}' takes no images; it cannot be trained on these data")
    if not isinstance(data.source, ArraySource):
        return spec.preprocessing
    pixels = data.source.pixels
    mean, std = (round(float(value) / 255, 4) for value in (pixels.mean(), pixels.std()))
    return Preprocessing(1, spec.size, (mean,), (std,))


def train(
    spec: Spec,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> nn.Module:
    """Train the network of `spec` from scratch; with the same arguments, the same bits come out.

    Raises:
        ModelError: the loss is no longer finite.
    """
    preprocessing = preprocessing_for(spec, data)
    with reproducible(seed, threads):
        module = create(spec, classes=len(data.classes), channels=preprocessing.channels)
        _arrange(module, torch.channels_last)  # 1.7 times as fast as the default on a CPU
        steps = recipe.steps(len(data))
        learn = _learner(module, recipe, steps * recipe.epochs)
        for epoch in range(recipe.epochs):
            batches = _batches(data, preprocessing, recipe, seed, epoch)
            for step, (x, labels) in enumerate(batches, 1):
                loss = learn(x, labels)
                if not math.isfinite(loss):
                    raise ModelError(f"training diverged in epoch {epoch + 1}: lower --lr")
                if progress:
                    progress(Step(epoch + (1.0 if step == steps else step / steps), loss))
    _arrange(module, torch.contiguous_format)
    return module.eval()


def _arrange(module: nn.Module, memory_format: torch.memory_format) -> None:
    module.to(memory_format=memory_format)  # type: ignore[call-overload]


def _learner(module: nn.Module, recipe: Recipe, steps: int) -> Callable[[Tensor, Tensor], float]:
    """Return what makes one step of training and returns its loss."""
    optimizer = _optimizer(module, recipe)
    schedule = _schedule(optimizer, recipe, steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    def learn(x: Tensor, labels: Tensor) -> float:
        loss = loss_of(module(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss.item())

    return learn


def _batches(
    data: Dataset, preprocessing: Preprocessing, recipe: Recipe, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    rng = np.random.default_rng((seed, epoch))
    order = int(rng.integers(2**31))
    for images, labels in data.batches(preprocessing, recipe.batch, seed=order):
        if len(labels) > 1:
            x = torch.from_numpy(augment(images, recipe, rng))
            yield x.to(memory_format=torch.channels_last), torch.from_numpy(labels)


def _optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Biases, norms and depthwise filters hold few parameters, and are not decayed.

    For depthwise filters see the MobileNet paper, section 3.2.
    """
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    decayed = [m.weight for m in layers if m.weight.shape[1] > 1 or getattr(m, "groups", 1) == 1]
    kept = {id(weight) for weight in decayed}
    free = [p for p in module.parameters() if id(p) not in kept]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": free},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=0.0)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)


def _schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    warm = max(1, round(recipe.warm_up * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def augment(images: Floats, recipe: Recipe, rng: np.random.Generator) -> Floats:
    """Shift each image by up to `recipe.shift` of its side (edges repeat), and mirror half of them.

    Shapes: ``(N, C, H, W)`` to the same.
    """
    count, _, height, width = images.shape
    reach = round(recipe.shift * height)
    padded = np.pad(images, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="edge")
    corners = rng.integers(0, 2 * reach + 1, (count, 2)).tolist()
    mirrored = np.less(rng.random(count), 0.5 * recipe.flip).tolist()
    out = np.empty_like(images)
    for row, ((top, left), mirror) in enumerate(zip(corners, mirrored, strict=True)):
        crop = padded[row, :, top : top + height, left : left + width]
        out[row] = crop[..., ::-1] if mirror else crop
    return out


def evaluate(
    module: nn.Module, data: Dataset, preprocessing: Preprocessing, batch: int = 256
) -> float:
    """Return the share of images whose label is the network's best answer (top-1)."""
    right = 0
    with torch.inference_mode():
        for images, labels in data.batches(preprocessing, batch):
            right += int((module(torch.from_numpy(images)).argmax(1).numpy() == labels).sum())
    return right / len(data)


def train_to_file(
    spec: Spec,
    data: Dataset,
    test: Dataset,
    path: Path,
    recipe: Recipe,
    *,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Metadata:
    """Train on `data`, evaluate on `test`, write safetensors.

    Returns what the file says of itself, with the accuracy on all test images.

    Raises:
        DataError: an image cannot be decoded.
        ModelError: training diverged, or the file cannot be written.
    """
    module = train(spec, data, recipe, seed=seed, threads=threads, progress=progress)
    preprocessing = preprocessing_for(spec, data)
    metadata = Metadata(
        model=spec.name,
        dataset=data.name,
        fingerprint=data.fingerprint,
        top1=evaluate(module, test, preprocessing),
        class_names=data.classes,
        preprocessing=preprocessing,
        settings={**asdict(recipe), "seed": seed, "threads": threads},
        torch=str(torch.__version__),
    )
    save(module, path, metadata)
    return metadata
