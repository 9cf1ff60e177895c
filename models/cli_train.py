"""``edgeworthy models train``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.finite import Finite

if TYPE_CHECKING:
    from models.data import Dataset
    from models.family import Spec
    from models.metadata import Metadata
    from models.recipe import Recipe
    from models.training import Progress, Step
    from models.transfer import Transfer

HOLD_OUT = 0.1  # with --patience
BODY_LR_FACTOR = 0.1


ABOVE_ZERO = Finite(min=0, min_open=True)


@click.command()
@click.argument("name")
@click.option("--dataset", help="Data set by name.  [default: fashion-mnist]")
@click.option("--data", type=click.Path(path_type=Path), help="Images from this folder instead.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training images.")
@click.option("--batch-size", type=click.IntRange(min=2), help="Images a step.")
@click.option("--lr", type=ABOVE_ZERO, help="Highest learning rate, from scratch.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--from",
    "source",
    metavar="WEIGHTS",
    help="Go on from a .safetensors or .pth file, or a network that comes trained.",
)
@click.option(
    "--freeze",
    type=click.Choice(["features"]),
    help="With --from: train the head only; every other layer stays, batch norm's statistics too.",
)
@click.option(
    "--head-lr",
    type=ABOVE_ZERO,
    help="With --from: the head's highest learning rate; default a tenth of that from scratch, "
    "a hundredth with --quantize-aware.",
)
@click.option(
    "--body-lr-factor",
    type=ABOVE_ZERO,
    help=f"With --from: the upper half of the other layers learns at this share of the head's "
    f"rate, the lower half at its square; default {BODY_LR_FACTOR}, 1 with --quantize-aware.",
)
@click.option(
    "--quantize-aware",
    is_flag=True,
    help="With --from: fine-tune against int8's rounding. The file is float as ever, to be "
    "exported at int8.",
)
@click.option(
    "--hold-out",
    type=Finite(min=0, max=0.5, min_open=True),
    help="Share of the training images that judges each epoch; the best epoch is kept.",
)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    help=f"Stop after so many epochs without a better one; holds out {HOLD_OUT} by default.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write; default NAME@DATASET.safetensors.",
)
@click.option("--resume", is_flag=True, help="Go on with this command where it was interrupted.")
@click.option("--force", is_flag=True, help="Replace the files if they are there.")
def train(
    *,
    name: str,
    dataset: str | None,
    data: Path | None,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    seed: int,
    threads: int,
    source: str | None,
    freeze: str | None,
    head_lr: float | None,
    body_lr_factor: float | None,
    quantize_aware: bool,
    hold_out: float | None,
    patience: int | None,
    out: Path | None,
    resume: bool,
    force: bool,
) -> None:
    """Train NAME on the CPU, and write its weights with their accuracy.

    From scratch, or with --from by transfer: where the classes are others the head (the layers
    whose size follows the number of classes) is new; the rest is fine-tuned more gently the
    nearer it is to the image, or stays. Images are brought to the channels of the weights.

    Beside the weights lie the log (.csv) and the learning curve (.svg). Ctrl-C keeps the epochs
    that are complete in a .partial file: the same command with --resume goes on from there.

    The same command gives the same file, bit for bit, on the same machine; the number of threads
    is part of the command. Epochs, batch size and learning rate have a default for each family.
    """
    from models.registry import resolve

    spec = resolve(name)
    if data and dataset:
        raise click.UsageError("--data and --dataset exclude each other")
    images = str(data or dataset or "fashion-mnist")
    path = out or Path(f"{spec.name}@{data.resolve().name if data else images}.safetensors")
    _refuse_network(spec)
    _refuse_files(path, force=force, resume=resume)
    transfer = _transfer(
        source,
        freeze=freeze,
        head_lr=head_lr,
        body_lr_factor=body_lr_factor,
        quantize_aware=quantize_aware or None,
        lr=lr,
    )
    recipe = _recipe(spec, transfer, epochs, batch_size, head_lr or lr)
    from models.trained_file import train_to_file
    from models.training import Plan

    share = hold_out or (HOLD_OUT if patience else 0.0)
    plan = Plan(spec, recipe, seed, threads, transfer, share, patience)
    splits = _open(images)
    try:
        with _progress(recipe) as progress:
            words = train_to_file(plan, *splits, path, resume=resume, progress=progress, note=_note)
    except KeyboardInterrupt:
        _interrupted(path)
    click.echo(f"{path}\t{_accuracy(words)} on {words.dataset}")


def _transfer(
    source: str | None, *, lr: float | None, body_lr_factor: float | None, **given: object
) -> "Transfer | None":
    from models.family import ModelError

    if source is None:
        options = {"body_lr_factor": body_lr_factor, **given}
        alone = next((name for name, value in options.items() if value is not None), None)
        if alone:
            option = alone.replace("_", "-")
            raise ModelError(f"--{option} is for going on from weights; add --from WEIGHTS")
        return None
    if lr:
        raise ModelError("--lr is for training from scratch; with --from give --head-lr")
    if given["freeze"] and body_lr_factor:
        raise ModelError("a frozen body does not learn; leave out --freeze or --body-lr-factor")
    from models.transfer import Transfer, find_weights

    quantize_aware = bool(given["quantize_aware"])
    factor = body_lr_factor or (1.0 if quantize_aware else BODY_LR_FACTOR)
    return Transfer(find_weights(source), factor, given["freeze"] is not None, quantize_aware)


def _recipe(
    spec: "Spec",
    transfer: "Transfer | None",
    epochs: int | None,
    batch: int | None,
    lr: float | None,
) -> "Recipe":
    from models.recipe import fine_tuning_for, recipe_for

    own = recipe_for(spec)
    if transfer:
        own = fine_tuning_for(spec, quantize_aware=transfer.quantize_aware)
    return replace(own, epochs=epochs or own.epochs, batch=batch or own.batch, lr=lr or own.lr)


def _open(source: str) -> tuple["Dataset", "Dataset"]:
    from models.data import open_dataset

    data, test = open_dataset(source, "train"), open_dataset(source, "test")
    if data.note:
        _note(data.note)
    return data, test


def _note(text: str) -> None:
    click.echo(f"note: {text}", err=True)


def _accuracy(words: "Metadata") -> str:
    tops = {"top-1": words.top1, "top-5": words.top5}
    return ", ".join(f"{100 * v:.2f} % {top}" for top, v in tops.items() if v is not None)


def _interrupted(path: Path) -> None:
    state = path.with_suffix(".partial")
    kept = f"go on with --resume (state in {state})" if state.exists() else "no epoch was complete"
    click.echo(f"interrupted: {path} was not written; {kept}", err=True)
    sys.exit(130)


def _refuse_network(spec: "Spec") -> None:
    from models.family import ModelError

    if spec.weights:
        raise ModelError(
            f"'{spec.name}' is trained already; train '{spec.name.partition('@')[0]}', "
            f"or go on from it with --from {spec.name}"
        )
    if spec.preprocessing is None:
        raise ModelError(f"'{spec.name}' takes no images; it cannot be trained here")
    if spec.members:
        names = ", ".join(f"'{member.name}'" for member in spec.members)
        raise ModelError(f"'{spec.name}' is an ensemble; train its members, {names}")


def _refuse_files(path: Path, *, force: bool, resume: bool) -> None:
    from models.family import ModelError

    if path.suffix != ".safetensors":
        raise ModelError(f"--out {path} must end in .safetensors")
    _refuse_place(path)
    if force or resume:
        return
    if path.with_suffix(".partial").exists():
        raise ModelError(
            f"{path.with_suffix('.partial')} is of an interrupted training; "
            "give --resume to go on, or --force to start again"
        )
    for made in (path, path.with_suffix(".csv"), path.with_suffix(".svg")):
        if made.exists():
            raise ModelError(f"{made} exists; give --force to replace it, or another --out")


def _refuse_place(path: Path) -> None:
    import tempfile

    from models.family import ModelError

    directory = path.resolve().parent
    if not directory.is_dir():
        raise ModelError(f"no directory {directory}; make it, or give another --out")
    try:
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        raise ModelError(
            f"cannot write in {directory}: {error.strerror}; give another --out"
        ) from None


@contextmanager
def _progress(recipe: "Recipe") -> Iterator["Progress"]:
    """Give a bar on a terminal, and a line an epoch elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=recipe.epochs)

        def update(step: "Step") -> None:
            bar.update(task, completed=step.epochs_done)
            if step.row:
                console.print(f"epoch {step.row.epoch}/{recipe.epochs}: {step.row.text}")

        yield update
