"""``edgeworthy models train``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from models.data import Dataset
    from models.family import Spec
    from models.training import Progress, Recipe, Step


@click.command()
@click.argument("name")
@click.option("--dataset", default="fashion-mnist", show_default=True, help="Data set by name.")
@click.option("--data", type=click.Path(path_type=Path), help="Images from this folder instead.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training images.")
@click.option("--batch-size", type=click.IntRange(min=2), help="Images a step.")
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="Highest learning rate.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write; default NAME@DATASET.safetensors.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def train(
    *,
    name: str,
    dataset: str,
    data: Path | None,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    seed: int,
    threads: int,
    out: Path | None,
    force: bool,
) -> None:
    """Train NAME from scratch on the CPU, and write its weights with their accuracy.

    The same command gives the same file, bit for bit, on the same machine; the number of threads
    is part of the command. Epochs, batch size and learning rate have a default for each family.
    """
    from models.registry import resolve

    spec = resolve(name)
    path = out or Path(f"{spec.name}@{data.resolve().name if data else dataset}.safetensors")
    _refuse(spec, path, force)
    from models.training import recipe_for, train_to_file

    own = recipe_for(spec)
    recipe = replace(
        own, epochs=epochs or own.epochs, batch=batch_size or own.batch, lr=lr or own.lr
    )
    splits = _open(str(data or dataset))
    try:
        with _progress(recipe) as progress:
            words = train_to_file(
                spec, *splits, path, recipe, seed=seed, threads=threads, progress=progress
            )
    except KeyboardInterrupt:
        click.echo(f"interrupted: {path} was not written", err=True)
        sys.exit(130)
    click.echo(f"{path}\t{100 * (words.top1 or 0):.2f} % top-1 on {words.dataset}")


def _open(source: str) -> tuple["Dataset", "Dataset"]:
    from models.data import open_dataset

    data, test = open_dataset(source, "train"), open_dataset(source, "test")
    if data.note:
        click.echo(f"note: {data.note}", err=True)
    return data, test


def _refuse(spec: "Spec", path: Path, force: bool) -> None:
    from models.family import ModelError

    if spec.weights:
        raise ModelError(f"'{spec.name}' is trained already; train '{spec.name.partition('@')[0]}'")
    if path.suffix != ".safetensors":
        raise ModelError(f"--out {path} must end in .safetensors")
    if path.exists() and not force:
        raise ModelError(f"{path} exists; give --force to replace it, or another --out")
    if not path.resolve().parent.is_dir():
        raise ModelError(f"no directory {path.resolve().parent}; make it, or give another --out")


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
            if step.epochs_done.is_integer():
                console.print(f"epoch {step.epochs_done:.0f}/{recipe.epochs}: loss {step.loss:.4f}")

        yield update
