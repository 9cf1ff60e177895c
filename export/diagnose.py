"""Signal-to-noise of every layer of a file against the float network: which layer broke.

Three figures a layer, in dB of energy. "Own": the file's output against the float layer's on the
file's own values of its operands, so that noise from before does not count. "At output": the float
network's output against what it becomes when that error alone is added at the layer. "So far": the
file's output against the float network's, with all that the layer inherits. Layers are ranked by
what their own error does at the output: the same error can be drowned there, or decide.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.fx import Node

from export.alignment import Pair, align
from export.figures import Tally, energy, snr_db
from export.reference import INPUT, Reference, array
from export.trace import Trace

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]
EFFECT_ROWS = 8  # inputs that a layer's error is followed to the output for


@dataclass(frozen=True)
class Found:
    """A layer's place in the file, and its figures; `tally` None: it could not be aligned.

    `output_noise` is the energy that its own error, alone, has at the output; `output_db` is the
    ratio of the output's to that.
    """

    pair: Pair
    tally: Tally | None
    output_noise: float = 0.0
    output_db: float | None = None


@dataclass(frozen=True)
class Diagnosis:
    """All layers in the program's order, and the outputs' signal-to-noise ratio."""

    layers: tuple[Found, ...]
    output_db: float | None
    inputs: int

    @property
    def ranked(self) -> list[Found]:
        """The layers, the worst first; those that were not aligned last."""
        return sorted(self.layers, key=_rank)

    def share(self, found: Found) -> float:
        """Return a layer's share of the output's noise, as if layers erred independently."""
        whole = sum(other.output_noise for other in self.layers)
        return found.output_noise / whole if whole and np.isfinite(whole) else 0.0


def _rank(found: Found) -> tuple[bool, float, float]:
    own = found.tally.own_db if found.tally else None
    at_output = np.inf if found.output_db is None else found.output_db
    return found.tally is None, at_output, np.inf if own is None else own


def _at_output(tally: Tally, signal: float, noise: float) -> float | None:
    return None if tally.own_db is None else snr_db(signal, noise)


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
        effects = dict.fromkeys(tallies, 0.0)
        every = -(-len(rows[0]) // EFFECT_ROWS)
        signal = noise = effect_signal = 0.0
        for number, inputs in enumerate(self._rows(rows)):
            seen = _Seen(self._reference, self._trace, self._pairs, inputs)
            own_signal, own_noise = seen.output_energies()
            signal, noise = signal + own_signal, noise + own_noise
            for pair in self._pairs:
                if pair.layer.name in tallies and not seen.add(pair, tallies[pair.layer.name]):
                    del tallies[pair.layer.name]
            if number % every == 0:
                effect_signal += own_signal
                for pair in self._pairs:
                    if pair.layer.name in tallies:
                        effects[pair.layer.name] += seen.effect(pair)
            progress(number + 1, len(rows[0]))
        found = tuple(
            Found(p, tallies[n], effects[n], _at_output(tallies[n], effect_signal, effects[n]))
            if (n := p.layer.name) in tallies
            else Found(p, None)
            for p in self._pairs
        )
        return Diagnosis(found, snr_db(signal, noise), len(rows[0]))

    def _rows(self, rows: Sequence[Array]) -> Iterator[list[Array]]:
        for row in range(len(rows[0])):
            yield [np.repeat(a[row : row + 1], self._batch, 0) for a in rows]


class _Seen:
    """All values of one input, in the float network and in the file."""

    def __init__(
        self, reference: Reference, trace: Trace, pairs: Sequence[Pair], inputs: Sequence[Array]
    ) -> None:
        self._reference, self._trace = reference, trace
        self._values = reference.run(inputs)
        wanted = [p.tensor for p in pairs if p.step]
        for pair in pairs:
            for name in pair.step.inputs if pair.step else ():
                wanted += trace.sources(name)
        self._got = trace.run(inputs, list(dict.fromkeys([*wanted, *trace.outputs])))

    def _true(self, node: Node) -> Array:
        return array(self._values, node)

    @property
    def _outputs(self) -> list[Array]:
        """The float network's outputs."""
        return [self._true(node) for node in self._reference.outputs]

    def output_energies(self) -> tuple[float, float]:
        """Return the energy of the float network's outputs, and of the file's errors there."""
        got = [self._got[name] for name in self._trace.outputs]
        pairs = list(zip(self._outputs, got, strict=True))
        return sum(energy(a) for a, _ in pairs), sum(energy(a - b) for a, b in pairs)

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
        tally.add(self._true(pair.layer.end)[:1], expected[:1], got[:1], changed)
        return True

    def effect(self, pair: Pair) -> float:
        """Return the energy that a layer's own error, alone, has at the float network's outputs."""
        compared = self._compared(pair)
        assert compared is not None
        _, expected, got = compared
        if not np.isfinite(expected).all():  # inherited, and none of its own
            return 0.0
        outputs = self._reference.outputs_with(self._values, pair.layer.end, got - expected)
        return sum(energy(a - b) for a, b in zip(outputs, self._outputs, strict=True))

    def _compared(self, pair: Pair) -> tuple[list[Array], Array, Array] | None:
        """Return the file's operands, the float layer's output for them, and the file's output."""
        got = _fitted([self._got[pair.tensor]], self._true(pair.layer.end).shape)
        operands = self._operands(pair)
        if got is None or operands is None:
            return None
        return operands, self._reference.apply(pair.layer, operands), got

    def _operands(self, pair: Pair) -> list[Array] | None:
        assert pair.step is not None
        if pair.layer.kind == INPUT:
            return [self._true(pair.layer.head)]
        shapes = [self._true(node).shape for node in pair.layer.operands]
        given = [[self._got[n] for n in self._trace.sources(name)] for name in pair.step.inputs]
        for order in (given, given[::-1]):  # formats turn round what may be turned round
            if len(order) == len(shapes):
                found = [_fitted(c, shape) for c, shape in zip(order, shapes, strict=True)]
                if all(a is not None for a in found):
                    return [a for a in found if a is not None]
        return None


def _fitted(candidates: Sequence[Array], shape: tuple[int, ...]) -> Array | None:
    """Return the first array of `shape`, or that becomes it by layout, or by reshaping."""
    for given in candidates:
        if given.shape == shape:
            return given
        if given.ndim == 4 and (moved := np.moveaxis(given, 1, 3)).shape == shape:
            return moved
    same = (given for given in candidates if given.size == prod(shape))
    found = next(same, None)
    return None if found is None else found.reshape(shape)
