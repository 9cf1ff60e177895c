"""Transfer learning: from a network's weights to another task's, layer by layer."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from models.checkpoint import Built, build, create
from models.family import ModelError, Spec
from models.registry import resolve, trained

FILES = {".safetensors", ".pth", ".pt"}


@dataclass(frozen=True)
class Transfer:
    """What to go on from, and how.

    The head is every layer whose size follows the number of classes. Of the others, the body, the
    upper half (nearer to the head) learns at `body_lr_factor` of the head's rate and the lower
    half at that factor's square; with `freeze` the body does not learn at all.
    """

    weights: Path
    body_lr_factor: float = 0.1
    freeze: bool = False
    quantize_aware: bool = False


def find_weights(source: str) -> Path:
    """Return the file that ``--from`` names: a path, or a network that comes trained.

    Raises:
        ModelError: no such file; no such network, or one without weights.
    """
    path = Path(source)
    if path.suffix in FILES or path.name != source or path.is_file():
        return path
    if weights := resolve(source).weights:
        return weights
    near = difflib.get_close_matches(source, trained(), n=1, cutoff=0.3) or sorted(trained())
    raise ModelError(
        f"'{source}' comes without weights; give --from a .safetensors or .pth file, "
        f"or a trained network such as '{near[0]}'"
    )


@dataclass(frozen=True)
class Layers:
    """A network's layers that have parameters, from the image to the answer.

    A layer is a module with parameters of its own, in the order of definition.
    """

    lower: tuple[nn.Module, ...]
    upper: tuple[nn.Module, ...]
    head: tuple[nn.Module, ...]


def layers_of(module: nn.Module, head: frozenset[str]) -> Layers:
    """Split the layers of `module`: those named in `head`, and the others in halves by number."""
    named = [(n, m) for n, m in module.named_modules() if list(m.parameters(recurse=False))]
    body = [layer for name, layer in named if name not in head]
    middle = len(body) // 2
    return Layers(
        lower=tuple(body[:middle]),
        upper=tuple(body[middle:]),
        head=tuple(layer for name, layer in named if name in head),
    )


def head_of(spec: Spec, channels: int) -> frozenset[str]:
    """Return the names of the layers whose size follows the number of classes."""
    with torch.device("meta"):
        few, more = (
            create(spec, classes=classes, channels=channels).state_dict() for classes in (2, 3)
        )
    return frozenset(key.rpartition(".")[0] for key in few if few[key].shape != more[key].shape)


def start(spec: Spec, weights: Path, classes: Sequence[str]) -> tuple[Built, bool]:
    """Return the network of `spec` with the weights of a file, its head fit for `classes`.

    The head is drawn anew, from torch's random state, where the file's classes are others; the
    second value says so. The input's channels and statistics stay those of the file: images are
    brought to them.

    Raises:
        ModelError: the file cannot be read, holds more than tensors, or does not fit the network.
    """
    built = build(spec.name, weights=weights)
    if _same(built, classes):
        return built, False
    module = create(spec, classes=len(classes), channels=built.channels)
    head = head_of(spec, built.channels)
    state = built.module.state_dict()
    body = {key: tensor for key, tensor in state.items() if key.rpartition(".")[0] not in head}
    module.load_state_dict({**module.state_dict(), **body})
    return replace(built, module=module, class_names=tuple(classes), classes=len(classes)), True


def _same(built: Built, classes: Sequence[str]) -> bool:
    """By name; by number where the names of one are not known."""
    known = built.class_names
    if known is None or _unnamed(known) or _unnamed(classes):
        return built.classes == len(classes)
    return known == tuple(classes)


def _unnamed(classes: Sequence[str]) -> bool:
    """IDX files number their classes."""
    return list(classes) == [str(number) for number in range(len(classes))]
