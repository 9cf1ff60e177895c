"""What the user named: a network of the zoo, a Python file with a factory, or a `.pt2` program."""

import re
from pathlib import Path
from typing import Literal

import msgspec

from export.precision import ExportError
from models import registry


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One network to export. `name` is the artifact's; `shapes` are set for a Python file only.

    `network` is the name in the zoo, for a network of the zoo.
    """

    kind: Literal["zoo", "python", "pt2"]
    name: str
    network: str | None = None
    path: Path | None = None
    factory: str | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    weights: Path | None = None
    seed: int = 0


def find(
    names: list[str], *, weights: Path | None, shapes: list[str], seed: int, name: str | None
) -> list[Source]:
    """Return the sources that ``--model`` names, in order.

    Raises:
        ExportError: nothing named, a file that is not there, two networks of one name, ``--input``
            or ``--weights`` where they cannot apply.
        models.registry.ModelError: a name that the zoo does not have.
    """
    sources = [s for n in names for s in _find(n, weights, [parse_shape(t) for t in shapes], seed)]
    unique = list(dict.fromkeys(sources))
    if not unique:
        raise ExportError("--model names nothing; list the networks: 'edgeworthy models list'")
    _refuse_clash(unique)
    if len(unique) > 1 and (weights or name):
        raise ExportError(
            f"--weights and --name go with one network; --model names {len(unique)}: "
            "export them one at a time"
        )
    return [msgspec.structs.replace(unique[0], name=_safe(name))] if name else unique


def _refuse_clash(sources: list[Source]) -> None:
    names = [source.name for source in sources]
    for name in {name for name in names if names.count(name) > 1}:
        raise ExportError(
            f"two networks would both be called '{name}': export them one at a time with --name"
        )


def _find(
    name: str, weights: Path | None, shapes: list[tuple[int, ...]], seed: int
) -> list[Source]:
    file, _, factory = name.partition(":")
    if file.endswith(".py"):
        return [_python(Path(file), factory, shapes, weights)]
    if name.endswith(".pt2"):
        return [_program(Path(name), shapes, weights)]
    if shapes:
        raise ExportError("--input is for a network of your own: --model file.py:factory")
    if weights is not None and not weights.is_file():
        raise ExportError(f"no weights at {weights}; expected a .safetensors or .pth file")
    expanded = registry.expand([name])
    return [Source(kind="zoo", name=n, network=n, weights=weights, seed=seed) for n in expanded]


def _python(
    path: Path, factory: str, shapes: list[tuple[int, ...]], weights: Path | None
) -> Source:
    if not path.is_file():
        raise ExportError(f"no file {path}; expected a Python file with a factory, file.py:factory")
    if not factory.isidentifier():
        raise ExportError(f"which network in {path}? name its factory: --model {path}:FACTORY")
    if not shapes:
        raise ExportError(f"{path} needs its input's shape: add --input 1x3x224x224")
    if weights is not None:
        raise ExportError(f"--weights is for the zoo; load them in {path}:{factory}")
    name = _safe(f"{path.stem}-{factory}")
    return Source(kind="python", name=name, path=path, factory=factory, shapes=tuple(shapes))


def _program(path: Path, shapes: list[tuple[int, ...]], weights: Path | None) -> Source:
    if not path.is_file():
        raise ExportError(f"no file {path}; expected a program saved by torch.export.save")
    if shapes or weights is not None:
        raise ExportError(f"{path} holds its shapes and weights: leave --input and --weights out")
    return Source(kind="pt2", name=_safe(path.stem), path=path)


def parse_shape(text: str) -> tuple[int, ...]:
    """Read ``1x3x224x224`` as a shape.

    Raises:
        ExportError: anything else.
    """
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)+", text):
        raise ExportError(f"'{text}' is not an input shape; write it like 1x3x224x224")
    return tuple(int(part) for part in text.split("x"))


def _safe(name: str) -> str:
    """Return `name` fit for a directory: it becomes the first half of an artifact's key."""
    safe = re.sub(r"[^\w.@+-]+", "-", name).strip(".-")
    if not safe:
        raise ExportError(f"'{name}' cannot name an artifact; use letters, digits, '.', '-', '_'")
    return safe
