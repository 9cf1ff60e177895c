"""The best way to run one network on one device, found by successive halving.

Every candidate (file, runtime, threads) gets few rounds; those that break a demand are dropped, and
of the rest the faster half goes on with twice the time and twice the processes (Jamieson and
Talwalkar, AISTATS 2016, algorithm 1: the inner loop of Hyperband), until two are left. These are
measured in full beside the defaults, all interleaved, and only there an interval decides: where it
tells no difference, the smaller file is chosen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf
from typing import NamedTuple

from bench import stats, units
from bench.accuracy import AccuracyTest
from bench.compare import Comparison, Rule, compare
from bench.demands import Breach, Demands
from bench.matrix import Artifact, Cell, Choice, Effort, Target
from bench.noise import NoiseProfile
from bench.record import BenchError, Record
from bench.rows import can_run
from bench.verdict import verdict

FINALISTS = 2
# The first rung's share of the time of a measurement in full; each next one has twice as much.
FIRST_SHARE = 1 / 16
PREFERRED = ("tflite", "onnx", "torch", "coreml")
# What only proves a file is called so, and would take minutes to classify images.
REFERENCE = "-reference"

# Measures cells side by side and returns the records that came of them.
Measure = Callable[[Sequence[Cell], AccuracyTest | None], Sequence[Record]]


class Dropped(NamedTuple):
    """A candidate that is out: in which rung (0: before the first, None: in the end) and why."""

    cell: Cell
    rung: int | None
    reason: str
    breaches: tuple[Breach, ...] = ()

    @property
    def excess(self) -> float:
        """How far it misses the demands, infinite where that is not why it is out."""
        return max((breach.excess for breach in self.breaches), default=inf)


class Rival(NamedTuple):
    """One record, and how it compares with the best (A)."""

    record: Record
    against: Comparison


@dataclass(frozen=True)
class Outcome:
    """What a search found. `best` None: nothing meets the demands; `nearest` misses them least,
    None where none was measured and missed them.

    `defaults` is the default setting against the best, None where it could not be measured or is
    the best itself (`is_default`); `tied` is the other one of the last two where no interval tells
    them apart; `default` is the cell of the default setting.
    """

    default: Cell
    dropped: tuple[Dropped, ...]
    best: Record | None = None
    defaults: Rival | None = None
    tied: Rival | None = None
    nearest: Dropped | None = None
    records: tuple[Record, ...] = ()

    @property
    def is_default(self) -> bool:
        """Tell whether the best is the default setting."""
        return self.best is not None and self.best.key == self.default.key

    @property
    def exit_code(self) -> int:
        """Return 1 if nothing meets the demands, 3 if nothing could be measured or a figure that
        the answer rests on is not valid; else 0.
        """
        if self.best is None:
            return 1 if self.nearest else 3
        rests_on = [self.best, *(rival.record for rival in (self.defaults, self.tied) if rival)]
        sure = self.is_default or self.defaults is not None
        return 0 if sure and all(verdict(r).word == "valid" for r in rests_on) else 3


def candidates(
    chosen: Sequence[Artifact], target: Target, choice: Choice, effort: Effort
) -> list[Cell]:
    """Return every file with every runtime that times it on the device, and number of threads.

    A runtime that was chosen is the only one; the batch is the one chosen, or each file's own.

    Raises:
        BenchError: the files are of several networks, or the device has a runtime for none.
    """
    names = sorted({artifact.manifest.network.name for artifact in chosen})
    if len(names) > 1:
        raise BenchError(f"one network is searched, these are {', '.join(names[:5])}: name one")
    cells = [
        Cell(artifact, target, runtime, threads, batch, effort)
        for artifact in sorted(chosen, key=lambda a: PREFERRED.index(a.manifest.format))
        for runtime in target.device.runtimes(artifact.manifest.format)
        if not runtime.endswith(REFERENCE) and choice.runtime in (None, runtime)
        for batch in choice.batches or (artifact.manifest.contract.inputs[0].shape[0],)
        for threads in choice.threads
    ]
    if not cells:
        formats = ", ".join(sorted({artifact.manifest.format for artifact in chosen}))
        kind = f"runtime '{choice.runtime}'" if choice.runtime else "runtime"
        where = f"device '{target.info.name}'"
        raise BenchError(
            f"{where} has no {kind} that times {formats}; see 'edgeworthy devices list'"
        )
    return cells


def default_of(cells: Sequence[Cell]) -> Cell:
    """Return what someone runs who decides nothing: the fp32 file, in the first of TFLite, ONNX and
    torch that is there, by the first runtime of the device, with the fewest threads.
    """
    return min(cells, key=lambda c: (c.artifact.manifest.precision != "fp32", c.threads))


def search(
    cells: Sequence[Cell],
    demands: Demands,
    measure: Measure,
    accuracy: AccuracyTest | None = None,
    noise: Mapping[str, NoiseProfile] | None = None,
) -> Outcome:
    """Find the fastest of the candidates that meets the demands.

    Args:
        cells: of `candidates`, with the effort of a measurement in full.
        demands: what a candidate must keep.
        measure: measures cells side by side; gets the images where their accuracy is due.
        accuracy: the images, if any.
        noise: what 'bench calibrate' found, by the device's fingerprint.
    """
    # Runtimes and threads differ on purpose.
    rule = Rule(anyway=True, noise=noise or {})
    return _Search(cells, demands, measure, accuracy, rule).run()


@dataclass
class _Search:
    cells: Sequence[Cell]
    demands: Demands
    measure: Measure
    accuracy: AccuracyTest | None
    rule: Rule
    dropped: list[Dropped] = field(default_factory=list)
    full_accuracy: float | None = None

    def run(self) -> Outcome:
        default = default_of(self.cells)
        alive, rung = list(self.cells), 0
        while len(alive) > FINALISTS:
            rung += 1
            alive = self._halve(alive, default, rung)
        if not alive:
            return self._none(default)
        return self._final(alive, default)

    def _halve(self, alive: list[Cell], default: Cell, rung: int) -> list[Cell]:
        """Measure a rung and return those that go on, the fastest first."""
        first = self.accuracy if rung == 1 else None
        brief = [replace(cell, effort=rung_effort(cell.effort, rung)) for cell in alive]
        found = {record.key: record for record in self.measure(brief, first)}
        self._note_accuracy(found, default)
        good = [c for c in alive if self._holds(c, found[c.key], rung)]
        good.sort(key=lambda cell: _p50(found[cell.key]))
        kept = max(FINALISTS, ceil(len(good) / 2))
        for cell in good[kept:]:
            slower = _p50(found[cell.key]) / _p50(found[good[0].key])
            self.dropped.append(Dropped(cell, rung, f"slower: {units.times(slower)} the fastest"))
        return good[:kept]

    def _final(self, alive: list[Cell], default: Cell) -> Outcome:
        """Measure the last ones in full, beside the defaults."""
        cells = alive if default in alive else [*alive, default]
        records = list(self.measure(cells, self.accuracy))
        found = {record.key: record for record in records}
        self._note_accuracy(found, default)
        good = [found[c.key] for c in alive if self._holds(c, found[c.key], None)]
        if not good:
            return self._none(default, records)
        best, tied = self._choose(sorted(good, key=_p50))
        beside = found[default.key]
        comparable = beside is not best and _why_unusable(beside) is None
        return Outcome(
            default=default,
            dropped=tuple(self.dropped),
            best=best,
            defaults=self._rival(best, beside) if comparable else None,
            tied=tied,
            records=tuple(records),
        )

    def _rival(self, best: Record, other: Record) -> Rival:
        return Rival(other, compare(best, other, self.rule))

    def _choose(self, good: Sequence[Record]) -> tuple[Record, Rival | None]:
        """Return the better of the last ones, and the other where they cannot be told apart."""
        if len(good) == 1:
            return good[0], None
        against = self._rival(*good).against
        if against.word == "slower":
            cell = next(c for c in self.cells if c.key == good[1].key)
            self.dropped.append(Dropped(cell, None, f"slower: {said(against)} as the best"))
            return good[0], None
        best, other = sorted(good, key=_thrift)
        return best, self._rival(best, other)

    def _holds(self, cell: Cell, record: Record, rung: int | None) -> bool:
        """Tell whether a candidate may go on; note why not."""
        why = _why_unusable(record)
        if why is not None:
            self.dropped.append(Dropped(cell, rung, why))
            return False
        # After the first rung no images are shown again until the end: it holds what it held.
        shown = self.accuracy is not None and rung not in (None, 1)
        breaches = self.demands.breaches(record, self.full_accuracy, accuracy_known=shown)
        if breaches:
            self.dropped.append(Dropped(cell, rung, "; ".join(b.text for b in breaches), breaches))
        return not breaches

    def _note_accuracy(self, found: dict[tuple[str, ...], Record], default: Cell) -> None:
        record = found.get(default.key)
        if record is not None and record.accuracy is not None:
            self.full_accuracy = record.accuracy.top1

    def _none(self, default: Cell, records: Sequence[Record] = ()) -> Outcome:
        missed = [drop for drop in self.dropped if drop.excess < inf]
        nearest = min(missed, key=lambda drop: drop.excess, default=None)
        every = tuple(self.dropped)
        return Outcome(default=default, dropped=every, nearest=nearest, records=tuple(records))


def rung_effort(full: Effort, rung: int) -> Effort:
    """Return the effort of a rung, from 1 up: twice that of the one before."""
    share = min(1.0, FIRST_SHARE * 2 ** (rung - 1))
    return replace(
        full,
        max_seconds=full.max_seconds * share,
        processes=min(2 ** (rung - 1), full.processes),
        rung=rung,
    )


def said(against: Comparison) -> str:
    """Return a ratio and its interval in words."""
    assert against.time is not None  # nothing is incomparable here
    time = against.time
    return (
        f"{units.times(time.value)} ({units.times(time.low)} to {units.times(time.high)}) as long"
    )


def _p50(record: Record) -> float:
    figures = stats.summary(record)
    assert figures is not None
    return figures.p50_ns


def _thrift(record: Record) -> tuple[float, ...]:
    return record.manifest.size_bytes, record.settings.threads or 0, _p50(record)


def _why_unusable(record: Record) -> str | None:
    """Return why a record's figures do not count: wrong, failed, or not of this device."""
    judged = verdict(record)
    if not can_run(record):
        return f"cannot run here: {judged.evidence}"
    return f"{judged.word}: {judged.evidence}" if judged.word in ("wrong", "failed") else None
