"""Training on the CPU: the same weights from the same command, interrupted or not."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import partial
from models.accuracy import Accuracy, Tally, evaluate
from models.augmentation import training_batches
from models.data import Dataset
from models.family import ModelError, Spec
from models.learner import Learner, from_scratch, from_weights
from models.optimization import optimizer_for, schedule_for
from models.partial import Partial
from models.preprocess import Preprocessing
from models.recipe import Recipe
from models.training_log import Epoch, best_epoch
from models.transfer import Transfer

# Of the losses of classifiers half-way: GoogLeNet's paper, section 5.
AUXILIARY_WEIGHT = 0.3


@dataclass(frozen=True)
class Plan:
    """One training, but for its images.

    `hold_out` is the share of the training images, class by class, that are not learnt from but
    judge every epoch: the best one's weights are kept. After `patience` epochs without a better
    one training ends. `transfer` None is training from scratch.
    """

    spec: Spec
    recipe: Recipe
    seed: int = 0
    threads: int = 1
    transfer: Transfer | None = None
    hold_out: float = 0.0
    patience: int | None = None

    def described(self) -> dict[str, Any]:
        """Return the settings as a weights file states them; weights by their sha256."""
        settings = {**asdict(self.recipe), "seed": self.seed, "threads": self.threads}
        if self.hold_out:
            settings |= {"hold_out": self.hold_out, "patience": self.patience}
        if self.transfer:
            file = hashlib.sha256(self.transfer.weights.read_bytes()).hexdigest()
            settings |= {**asdict(self.transfer), "weights": file}
        return settings


@dataclass(frozen=True)
class Step:
    """What is told after each step; `row` ends an epoch."""

    epochs_done: float
    loss: float
    row: Epoch | None = None


Progress = Callable[[Step], None]


@dataclass(frozen=True)
class Trained:
    """What came out: `module` in evaluation mode, as it was after epoch `best` of `log`."""

    module: nn.Module
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    log: list[Epoch]
    best: int


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


def hold_out(data: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset | None]:
    """Split `share` of the images off, the classes as even as they can be; None of none."""
    if not share:
        return data, None
    held = data.sample(max(1, round(share * len(data))), seed)
    kept = ~np.isin(data.rows, held.rows)
    return replace(data, rows=data.rows[kept], labels=data.labels[kept]), held


def train(
    plan: Plan,
    data: Dataset,
    *,
    state: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> Trained:
    """Train; with the same plan and images the same bits come out, however often interrupted.

    Args:
        plan: the network and how to train it.
        data: the training images.
        state: the file that keeps the state after every epoch; None: nothing does.
        resume: go on from that file.
        progress: told after every step.
        note: told what the user should know before it starts.

    Raises:
        ModelError: the weights to start from, or the state, cannot be used; too few images; the
            loss is no longer finite.
        DataError: an image cannot be decoded.
    """
    with reproducible(plan.seed, plan.threads):
        run = _Run(plan, data)
        settings = _identity(plan, data) if state else {}
        if state and resume:
            run.restore(partial.read(state, settings))
        if note and run.head_is_new:
            note(f"the classes of {data.name} are others: the network gets a new head")
        while not run.is_over:
            run.epoch(progress)
            if state:
                partial.write(state, run.state(), settings)
        return run.result()


def _identity(plan: Plan, data: Dataset) -> dict[str, Any]:
    """What must be the same for an interrupted training to end in the same bits."""
    known = {"model": plan.spec.name, "images": data.fingerprint, "torch": str(torch.__version__)}
    return {**plan.described(), **known}


class _Run:
    """A training between two epochs."""

    def __init__(self, plan: Plan, data: Dataset) -> None:
        self._plan, self._recipe = plan, plan.recipe
        self._seen, self._held = hold_out(data, plan.hold_out, plan.seed)
        self._steps = plan.recipe.steps(len(self._seen))
        if not self._steps:
            raise ModelError(f"{len(self._seen)} images of {data.name} are too few to train on")
        self._learner = _learner(plan, data)
        self._learner.arrange(torch.channels_last)  # 1.7 times as fast as the default on a CPU
        self._optimizer = optimizer_for(self._learner.parts, plan.recipe)
        self._schedule = self._scheduled()
        self._loss_of = nn.CrossEntropyLoss(label_smoothing=plan.recipe.label_smoothing)
        self._log: list[Epoch] = []
        self._best: dict[str, Tensor] = {}

    def _scheduled(self, done: int = 0) -> torch.optim.lr_scheduler.LRScheduler:
        total = self._steps * self._recipe.epochs
        return schedule_for(self._optimizer, self._recipe, total, done * self._steps)

    @property
    def head_is_new(self) -> bool:
        return self._learner.head_is_new

    @property
    def is_over(self) -> bool:
        done = len(self._log)
        if done >= self._recipe.epochs:
            return True
        patience = self._plan.patience
        return bool(patience and done and done - best_epoch(self._log) >= patience)

    def epoch(self, progress: Progress | None) -> None:
        """Go over the training images once, and judge the held-out ones."""
        began, done = time.perf_counter(), len(self._log)
        self._learner.train()
        seen, losses, how = Tally(), list[float](), self._learner.preprocessing
        batches = training_batches(self._seen, how, self._recipe, self._plan.seed, done)
        for step, (x, labels) in enumerate(batches, 1):
            lr = max(group["lr"] for group in self._optimizer.param_groups)
            losses.append(self._step(x, labels, seen))
            if progress and step < self._steps:
                progress(Step(done + step / self._steps, losses[-1]))
        row = self._row(lr, losses, seen.accuracy(), began)
        self._log.append(row)
        if self._held and best_epoch(self._log) == row.epoch:
            self._best = partial.snapshot(self._learner.network)
        if progress:
            progress(Step(done + 1.0, losses[-1], row))

    def _step(self, x: Tensor, labels: Tensor, seen: Tally) -> float:
        answers = self._learner.forward(x)
        logits, *auxiliary = answers if isinstance(answers, tuple) else (answers,)
        loss: Tensor = self._loss_of(logits, labels)
        for early in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * self._loss_of(early, labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        if not math.isfinite(value := float(loss.item())):
            rate = "--head-lr" if self._plan.transfer else "--lr"
            raise ModelError(f"training diverged in epoch {len(self._log) + 1}: lower {rate}")
        seen.add(logits.detach(), labels)
        return value

    def _row(self, lr: float, losses: list[float], seen: Accuracy, began: float) -> Epoch:
        held = self._judged()
        return Epoch(
            epoch=len(self._log) + 1,
            lr=lr,
            loss=sum(losses) / len(losses),
            train_top1=seen.top1,
            train_top5=seen.top5,
            val_top1=held.top1 if held else None,
            val_top5=held.top5 if held else None,
            seconds=time.perf_counter() - began,
        )

    def _judged(self) -> Accuracy | None:
        if self._held is None:
            return None
        self._learner.forward.eval()
        return evaluate(self._learner.forward, self._held, self._learner.preprocessing)

    def state(self) -> Partial:
        return Partial(
            log=self._log,
            learner=self._learner.forward.state_dict(),
            best=self._best,
            optimizer=partial.optimizer_tensors(self._optimizer),
            random=torch.random.get_rng_state(),
        )

    def restore(self, found: Partial) -> None:
        self._log, self._best = found.log, found.best
        self._learner.forward.load_state_dict(found.learner)
        partial.restore_optimizer(self._optimizer, found.optimizer)
        self._schedule = self._scheduled(len(found.log))
        torch.random.set_rng_state(found.random)

    def result(self) -> Trained:
        network = self._learner.network
        if self._best:
            network.load_state_dict(self._best)
        self._learner.arrange(torch.contiguous_format)
        how, names = self._learner.preprocessing, self._learner.class_names
        return Trained(network.eval(), how, names, self._log, best_epoch(self._log))


def _learner(plan: Plan, data: Dataset) -> Learner:
    if plan.transfer:
        return from_weights(plan.spec, data, plan.transfer)
    return from_scratch(plan.spec, data)
