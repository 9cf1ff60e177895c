"""A network's layers that have weights, as every format must find them again in its own file.

A converter folds, renames and reorders what lies between; convolutions and matrix products stay,
in the program's order and with their weights' shapes.
"""

import difflib
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

import msgspec

from export.precision import ExportError


class WeightedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A convolution or matrix product with weights of its own, in the program's order.

    `name` is the module's path as ``models show`` prints it (a layer that is run twice is there
    twice); `node` is the program's node; `weight` is the parameter's name and `weight_shape` its
    shape as torch has it, output channels first: ``(O, I / groups, H, W)`` or ``(O, I)``.
    """

    name: str
    node: str
    kind: str
    weight: str
    weight_shape: tuple[int, ...]


def choose(patterns: Sequence[str], layers: Sequence[WeightedLayer]) -> tuple[str, ...]:
    """Return the names of the layers that fit any pattern (wild cards), in the program's order.

    Raises:
        ExportError: a pattern fits none, near misses are named; or all layers are chosen.
    """
    names = list(dict.fromkeys(layer.name for layer in layers))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"there is {', '.join(names[:4])} ..."
            raise ExportError(
                f"--keep-float {pattern} fits no layer with weights; {hint} "
                "(models show NAME lists them)"
            )
    chosen = tuple(n for n in names if any(fnmatchcase(n, pattern) for pattern in patterns))
    if names and len(chosen) == len(names):
        raise ExportError(
            f"--keep-float {','.join(patterns)} leaves no layer of the {len(names)} to quantize; "
            "use --precision fp16 or fp32"
        )
    return chosen


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """An operator of a file: the tensors it reads and writes, and whether it has weights."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weighted: bool


def between(steps: Sequence[Step], kept: Collection[int]) -> set[int]:
    """Return the operators without weights that lie between layers in float only.

    They have to stay float, too, or what passes them would be stored in integers all the same: one
    whose readers, through others like it, are all in float, and that reads one in float.

    Args:
        steps: a file's operators in order.
        kept: numbers of those that stay float.
    """
    makers = {name: number for number, step in enumerate(steps) for name in step.outputs}
    readers: dict[int, list[int]] = {}
    after: set[int] = set(kept)
    for number, step in enumerate(steps):
        sources = [makers[name] for name in step.inputs if name in makers]
        for source in sources:
            readers.setdefault(source, []).append(number)
        if not step.weighted and any(source in after for source in sources):
            after.add(number)
    before: set[int] = set(kept)
    for number in reversed(range(len(steps))):
        follow = readers.get(number, [])
        if not steps[number].weighted and follow and all(r in before for r in follow):
            before.add(number)
    return (after & before) - set(kept)
