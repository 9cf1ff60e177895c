"""A network's layers as rows to read: what is fused with what, blocks, stages, and shares.

In a row the operators that write over its memory are folded: batch norm, activation, addition of
a shortcut. A block is a numbered part of a network (``layer1.0``), a stage one of its parts at
one resolution. No torch here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from models.layer import Analysis, Layer

CONVOLUTIONS = {"conv", "depthwise conv"}
# Of the rows that fit a person's attention; a longer network is shown by block.
MOST_ROWS = 60


@dataclass(frozen=True)
class Row:
    """Consecutive work under one name. Figures are sums; shape and field are the last layer's.

    `number` is the place in the program of its last layer. A block or stage has an `end`: the row
    of that layer, which need not stand last, as a gate is computed before what it is applied to.
    """

    name: str
    layers: tuple[Layer, ...]
    number: int
    end: "Row | None" = None

    @property
    def joined(self) -> bool:
        """Tell whether it is a block or stage, and no single layer with what is folded into it."""
        return self.end is not None

    @property
    def label(self) -> str:
        """What it is: ``conv 3x3/2``, or ``12 operators``."""
        return f"{len(self.layers)} operators" if self.joined else label(self.layers[0])

    @property
    def folded(self) -> tuple[str, ...]:
        """The kinds of the layers that write over the first, each once, in order."""
        return (
            () if self.joined else tuple(dict.fromkeys(label(layer) for layer in self.layers[1:]))
        )

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what leaves it, for one image."""
        return (self.end or self).layers[-1].output_shape

    @property
    def resolution(self) -> tuple[int, ...]:
        """Height and width at which its last values are computed; empty for a vector."""
        return (self.end or self).layers[0].output_shape[2:]

    @property
    def receptive_field(self) -> tuple[int, ...] | None:
        """The field of what leaves it; None where that is the whole input, or unknown."""
        return (self.end or self).layers[-1].receptive_field

    @property
    def parameters(self) -> int:
        """The number of its parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Its multiply-accumulates."""
        return sum(layer.macs for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """All that its layers allocate."""
        return sum(layer.activation_bytes for layer in self.layers)

    @property
    def bytes_moved(self) -> int:
        """What its layers read and write, each for itself."""
        return sum(layer.bytes_moved for layer in self.layers)

    @property
    def intensity(self) -> float:
        """MACs per byte moved."""
        return self.macs / self.bytes_moved if self.bytes_moved else 0.0

    def figures(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return {
            "name": self.name,
            "kind": "joined" if self.joined else self.layers[0].kind,
            "operators": len(self.layers),
            "output_shape": self.output_shape,
            "parameters": self.parameters,
            "macs": self.macs,
            "activation_bytes": self.activation_bytes,
            "weight_bytes": sum(layer.weight_bytes for layer in self.layers),
            "bytes_moved": self.bytes_moved,
            "intensity": self.intensity,
            "receptive_field": self.receptive_field,
        }


def label(layer: Layer) -> str:
    """Return a layer's kind for people: ``dw conv 3x3/2``, ``max pool 2x2/2``, ``linear``."""
    kind = layer.kind.replace("depthwise", "dw").replace("_", " ").strip()
    for name, short in (("2d", ""), ("adaptive avg pool", "avg pool")):
        kind = kind.replace(name, short)
    window = "x".join(map(str, layer.kernel))
    stride = layer.stride[0] if len(set(layer.stride)) == 1 else "x".join(map(str, layer.stride))
    return f"{kind} {window}{f'/{stride}' if stride not in (1, '') else ''}".strip()


def operators(analysis: Analysis) -> list[Row]:
    """Return a row for every operator."""
    return [Row(layer.name, (layer,), number) for number, layer in enumerate(analysis.layers)]


def rows(analysis: Analysis) -> list[Row]:
    """Return a row for every operator that takes memory, with those that write over it."""
    members: dict[int, list[int]] = {}
    for number, layer in enumerate(analysis.layers):
        home = number if layer.written_over is None else layer.written_over
        members.setdefault(home, []).append(number)
    return [
        Row(analysis.layers[home].name, tuple(analysis.layers[n] for n in numbers), numbers[-1])
        for home, numbers in members.items()
    ]


def blocks(analysis: Analysis) -> list[Row]:
    """Return a row for every numbered part of a network's parts, and for those without any."""
    return _blocks(rows(analysis), 1)


def _blocks(of: Sequence[Row], depth: int) -> list[Row]:
    result: list[Row] = []
    for name, part in _parts(of, depth):
        children = _parts(part, depth + 1)
        numbered = all(_is_numbered(child) for child, _ in children)
        if len(children) > 1 and numbered and not _is_numbered(name):
            result += [_joined(child, inner) for child, inner in children]
        elif _differ(children):
            result += _blocks(part, depth + 1)
        else:
            result.append(_joined(name, part))
    return result


def stages(analysis: Analysis) -> list[Row]:
    """Return a row for each of the network's own parts.

    A part whose children end at different resolutions (VGG's `features`), or which is a network
    from maps to a vector (a member of an ensemble), is opened, and its numbered children are joined
    again where neighbours share a resolution.
    """
    return _stages(rows(analysis), 1)


def _stages(of: Sequence[Row], depth: int) -> list[Row]:
    result: list[Row] = []
    for name, part in _parts(of, depth):
        children = _parts(part, depth + 1)
        opened = _differ(children) or (_is_network(part) and children[0][0] != name)
        result += _merged(_stages(part, depth + 1)) if opened else [_joined(name, part)]
    return result


def _merged(of: Sequence[Row]) -> list[Row]:
    """Join neighbours that are numbered and of one resolution: ``features.0-3``."""
    result = []
    for (_, numbered), found in groupby(of, lambda r: (r.resolution, _is_numbered(r.name))):
        group = list(found)
        last = group[-1].name.rpartition(".")[2]
        name = f"{group[0].name}-{last}" if len(group) > 1 else group[0].name
        result += [_joined(name, group)] if numbered else group
    return result


def _parts(of: Sequence[Row], depth: int) -> list[tuple[str, list[Row]]]:
    """Split rows, in order, where the first `depth` parts of their names change."""
    key: Callable[[Row], str] = lambda row: ".".join(row.name.split(".")[:depth])  # noqa: E731
    return [(name, list(found)) for name, found in groupby(of, key)]


def _differ(parts: Sequence[tuple[str, list[Row]]]) -> bool:
    return len({_last(part).resolution for _, part in parts}) > 1


def _is_network(of: Sequence[Row]) -> bool:
    return not _last(of).resolution and any(row.resolution for row in of)


def _last(of: Sequence[Row]) -> Row:
    return max(of, key=lambda row: row.number)


def _is_numbered(name: str) -> bool:
    return name.rpartition(".")[2].isdigit()


def _joined(name: str, of: Sequence[Row]) -> Row:
    layers = tuple(layer for row in of for layer in row.layers)
    last = _last(of)
    end = (last.end or last) if len(of) > 1 or of[0].joined else None
    return Row(name, layers, last.number, end)


GROUPINGS: dict[str, Callable[[Analysis], list[Row]]] = {
    "operator": operators,
    "layer": rows,
    "block": blocks,
    "stage": stages,
}


def default_grouping(analysis: Analysis) -> str:
    """Return the finest grouping of at most `MOST_ROWS` rows."""
    fits = (n for n in ("layer", "block") if len(GROUPINGS[n](analysis)) <= MOST_ROWS)
    return next(fits, "stage")
