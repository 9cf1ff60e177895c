"""Signal-to-noise of every layer of a file against the float network: which layer broke.

Two figures a layer, in dB of energy. "Own": the file's output against the float layer's on the
file's own values of its operands, so that noise from before does not count. "So far": the file's
output against the float network's, with all that it inherits. Layers are ranked by their own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.fx import Node

from export.alignment import Pair, align
from export.figures import Tally, snr_db
from export.reference import INPUT, Reference
from export.trace import Trace

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]
RELIEF_ROWS = 8


@dataclass(frozen=True)
class Found:
    """A layer's place in the file, and its figures; `tally` None: it could not be aligned."""

    pair: Pair
    tally: Tally | None


@dataclass(frozen=True)
class Diagnosis:
    """All layers in the program's order, and the outputs' signal-to-noise ratio."""

    layers: tuple[Found, ...]
    output_db: float | None
    inputs: int

    @property
    def ranked(self) -> list[Found]:
        """The layers, the worst by its own error first; those that were not aligned last."""
        return sorted(self.layers, key=_rank)


def _rank(found: Found) -> tuple[bool, float]:
    own = found.tally.own_db if found.tally else None
    return found.tally is None, np.inf if own is None else own


class Diagnoser:
    """Compares a file with its float network, input by input."""

    def __init__(self, reference: Reference, trace: Trace, batch: int) -> None:
        """Align the layers; both are run at `batch`, of which the first image counts."""
        self._reference, self._trace, self._batch = reference, trace, batch
        self._pairs = align(reference.layers, trace)

    def run(self, rows: Sequence[Array], progress: Progress) -> Diagnosis:
        """Compare on all rows of the inputs ``(rows, ...)``, an array each, channel-first.

        `progress` is called after each row with how many are done, and of how many.
        """
        tallies = {p.layer.name: Tally(p.grid) for p in self._pairs if p.step}
        whole = [0.0, 0.0]
        for number, inputs in enumerate(self._rows(rows), 1):
            seen = _Seen(self._reference, self._trace, self._pairs, inputs)
            for pair in self._pairs:
                if pair.layer.name in tallies and not seen.add(pair, tallies[pair.layer.name]):
                    del tallies[pair.layer.name]
            for position, energy in enumerate(seen.output_energies()):
                whole[position] += energy
            progress(number, len(rows[0]))
        found = tuple(Found(p, tallies.get(p.layer.name)) for p in self._pairs)
        return Diagnosis(found, snr_db(whole[0], whole[1]), len(rows[0]))

    def relief(self, rows: Sequence[Array], names: Sequence[str]) -> dict[str, float]:
        """Return the share of the output's noise that goes if a layer computes as the float one.

        Measured in the float network, with every layer's own error added to it, and with every
        one's but the layer's.
        """
        noise = dict.fromkeys(("", *names), 0.0)
        for inputs in self._rows([array[:RELIEF_ROWS] for array in rows]):
            seen = _Seen(self._reference, self._trace, self._pairs, inputs)
            errors = {
                p.layer.name: (p.layer.end, e)
                for p in self._pairs
                if (e := seen.error(p)) is not None
            }
            for name in noise:
                given = {node: e for other, (node, e) in errors.items() if other != name}
                outputs = self._reference.run_with(inputs, given)
                noise[name] += sum(
                    _energy(a - b) for a, b in zip(outputs, seen.outputs, strict=True)
                )
        whole = noise.pop("")
        if not np.isfinite(whole) or not whole:
            return {}
        return {name: 1 - left / whole for name, left in noise.items()}

    def _rows(self, rows: Sequence[Array]) -> Iterator[list[Array]]:
        for row in range(len(rows[0])):
            yield [np.repeat(array[row : row + 1], self._batch, 0) for array in rows]


class _Seen:
    """All values of one input, in the float network and in the file."""

    def __init__(
        self, reference: Reference, trace: Trace, pairs: Sequence[Pair], inputs: Sequence[Array]
    ) -> None:
        self._reference, self._trace = reference, trace
        self._true: dict[Node, Array] = reference.run(inputs)
        wanted = [p.tensor for p in pairs if p.step]
        for pair in pairs:
            for name in pair.step.inputs if pair.step else ():
                wanted += trace.sources(name)
        self._got = trace.run(inputs, list(dict.fromkeys([*wanted, *trace.outputs])))

    @property
    def outputs(self) -> list[Array]:
        """The float network's outputs."""
        return [self._true[node] for node in self._reference.outputs]

    def output_energies(self) -> tuple[float, float]:
        """Return the energy of the float network's outputs, and of the file's errors there."""
        got = [self._got[name] for name in self._trace.outputs]
        pairs = list(zip(self.outputs, got, strict=True))
        return sum(_energy(a) for a, _ in pairs), sum(_energy(a - b) for a, b in pairs)

    def add(self, pair: Pair, tally: Tally) -> bool:
        """Add a layer's values to its tally; False: the shapes show that it is another layer."""
        compared = self._compared(pair)
        if compared is None:
            return False
        operands, expected, got = compared
        stored = pair.step.weight if pair.step else None
        changed = None
        if stored is not None and pair.layer.weight is not None:
            weight = stored.values.reshape(pair.layer.weight.shape)
            changed = self._reference.apply(pair.layer, operands, weight)[:1]
        tally.add(self._true[pair.layer.end][:1], expected[:1], got[:1], changed)
        return True

    def error(self, pair: Pair) -> Array | None:
        """Return a layer's own error; None: it was not aligned."""
        compared = self._compared(pair) if pair.step else None
        return None if compared is None else compared[2] - compared[1]

    def _compared(self, pair: Pair) -> tuple[list[Array], Array, Array] | None:
        """Return the file's operands, the float layer's output for them, and the file's output."""
        got = _fitted([self._got[pair.tensor]], self._true[pair.layer.end].shape)
        operands = self._operands(pair)
        if got is None or operands is None:
            return None
        return operands, self._reference.apply(pair.layer, operands), got

    def _operands(self, pair: Pair) -> list[Array] | None:
        assert pair.step is not None
        if pair.layer.kind == INPUT:
            return [self._true[pair.layer.head]]
        shapes = [self._true[node].shape for node in pair.layer.operands]
        given = [[self._got[n] for n in self._trace.sources(name)] for name in pair.step.inputs]
        for order in (given, given[::-1]):  # formats turn round what may be turned round
            if len(order) == len(shapes):
                found = [_fitted(c, shape) for c, shape in zip(order, shapes, strict=True)]
                if all(array is not None for array in found):
                    return [array for array in found if array is not None]
        return None


def _fitted(candidates: Sequence[Array], shape: tuple[int, ...]) -> Array | None:
    """Return the first array of `shape`, or that becomes it by layout, or by reshaping."""
    for array in candidates:
        if array.shape == shape:
            return array
        if array.ndim == 4 and (moved := np.moveaxis(array, 1, 3)).shape == shape:
            return moved
    same = (array for array in candidates if array.size == prod(shape))
    found = next(same, None)
    return None if found is None else found.reshape(shape)


def _energy(array: Array) -> float:
    return float(np.sum(array.astype(np.float64) ** 2))
