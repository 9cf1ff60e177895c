"""What a training leaves: the weights with their accuracy, its log and its learning curve."""

from collections.abc import Callable
from pathlib import Path

import torch

from models.accuracy import evaluate
from models.checkpoint import write_tensors
from models.curve import draw
from models.data import Dataset
from models.metadata import Metadata
from models.training import Plan, Progress, train
from models.training_log import as_csv
from models.whole_file import whole_file


def train_to_file(
    plan: Plan,
    data: Dataset,
    test: Dataset,
    path: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> Metadata:
    """Train on `data`, evaluate on `test`, write safetensors, and beside it a CSV log and an SVG.

    A ``.partial`` file beside them holds the state after every epoch until all are written.
    Returns what the weights say of themselves, with the accuracy on all test images.

    Raises:
        DataError: an image cannot be decoded.
        ModelError: see `train`; a file cannot be written.
    """
    state = path.with_suffix(".partial")
    done = train(plan, data, state=state, resume=resume, progress=progress, note=note)
    accuracy = evaluate(done.module, test, done.preprocessing)
    metadata = Metadata(
        model=plan.spec.name,
        dataset=data.name,
        fingerprint=data.fingerprint,
        top1=accuracy.top1,
        top5=accuracy.top5,
        epoch=done.best,
        class_names=done.class_names,
        preprocessing=done.preprocessing,
        settings=plan.described(),
        torch=str(torch.__version__),
    )
    picture = draw(done.log, f"{plan.spec.name} on {data.name}")
    for ending, text in ((".csv", as_csv(done.log)), (".svg", picture)):
        with whole_file(path.with_suffix(ending)) as scratch:
            scratch.write_text(text, encoding="utf-8")
    state_dict = done.module.state_dict()
    kept = {k: v for k, v in state_dict.items() if not k.startswith(plan.spec.auxiliary)}
    write_tensors(kept, path, metadata.encode())
    state.unlink()
    return metadata
