"""The table of `bench compare`."""

from bench import units
from bench.compare import Comparison, Outcome
from bench.ratio import Ratio
from bench.report.document import EMPTY, Cell, Column, Report, Table, figure, word

# Few or strongly correlated rounds: the bounds are then numbers without a meaning.
UNBOUNDED = 1000
UNKNOWN_NOISE = (
    "{count} compared by rounds of one process each: two processes of one file may differ by more "
    "than the intervals say; measure in several ('bench run --processes 10')"
)
COUNTED = (
    "{count} compared by counts, in full and of no time: they are the same in every run, so the "
    "least difference is one, and there is no interval"
)
APART = (
    "{count} compared across two runs: what differs from run to run is in no interval; 'bench run' "
    "with both artifacts compares them side by side, and 'bench calibrate' finds out how much it is"
)


def compared(outcome: Outcome) -> Report:
    """Return the report of `bench compare`."""
    titles = ("A", "B", "B/A", "p90 B/A")
    return Report(
        title="B against A",
        tables=(
            Table(
                title="Medians, and the ratios of medians and of p90 with their 99 % intervals",
                columns=(
                    Column("measurement", right=False),
                    *map(Column, titles),
                    Column("verdict", right=False),
                    *map(Column, ("size", "load", "memory", "top-1")),
                ),
                rows=tuple(_pair(pair) for pair in outcome.pairs),
            ),
        ),
        notes=tuple(_notes(outcome)),
    )


def _pair(pair: Comparison) -> tuple[Cell, ...]:
    return (
        word("\n".join(_names(pair))),
        figure(pair.a_ns, units.measured(pair.counts[0])),
        figure(pair.b_ns, units.measured(pair.counts[1])),
        _ratio(pair.time),
        _ratio(pair.p90),
        word(pair.word or "incomparable"),
        figure(pair.size, units.times),
        figure(pair.load, units.times),
        figure(pair.memory, units.times),
        figure(pair.accuracy, units.points),
    )


def _names(pair: Comparison) -> list[str]:
    """Return what was compared and under which conditions, each said once."""
    (a, setting_a), (b, setting_b) = pair.a.split(" ", 1), pair.b.split(" ", 1)
    return [*dict.fromkeys((a, b)), *dict.fromkeys((setting_a, setting_b))]


def _ratio(found: Ratio | None) -> Cell:
    if found is None:
        return Cell(EMPTY)
    if found.low == found.high:
        return Cell(f"{found.value:.6g}x", found.value)
    bounds = f"{units.times(found.low)} to {units.times(found.high)}"
    known = found.high < UNBOUNDED * found.low
    return Cell(f"{units.times(found.value)}\n{bounds if known else 'unbounded'}", found.value)


def _noise(outcome: Outcome) -> list[str]:
    """Say what faster and slower had to be beyond, or how to find that out."""
    compared = [pair for pair in outcome.pairs if pair.time and not any(pair.counts)]
    floors = sorted({pair.floor for pair in compared if pair.floor is not None})
    lines = []
    if floors:
        shown = " to ".join(
            units.percent(floor) for floor in dict.fromkeys((floors[0], floors[-1]))
        )
        lines.append(f"faster and slower are beyond the device's noise floor: {shown}")
    if alone := sum(pair.floor is None and pair.processes == 1 for pair in compared):
        lines.append(UNKNOWN_NOISE.format(count=alone))
    return lines


def _notes(outcome: Outcome) -> list[str]:
    lines = [
        f"the verdict is of the medians; same: all of the interval is within {outcome.margin:.3g} "
        "of 1, or within the noise floor",
        "size, load, memory and top-1 are plain figures, B/A or B - A, without an interval",
    ]
    lines += _noise(outcome)
    compared = [pair for pair in outcome.pairs if pair.time]
    if counted := sum(any(pair.counts) for pair in compared):
        lines.append(COUNTED.format(count=counted))
    if apart := sum(not pair.pairwise and not any(pair.counts) for pair in compared):
        lines.append(APART.format(count=apart))
    for pair in outcome.pairs:
        if pair.incomparable:
            refused = "never compared" if pair.mixed else "refused, --anyway compares them"
            how = "compared anyway" if pair.time else refused
            lines.append(f"{pair.a}: incomparable: {'; '.join(pair.incomparable)} ({how})")
        if pair.caution:
            lines.append(f"{pair.a}: {', '.join(pair.caution)}")
    lines += [f"only in A: {name}" for name in outcome.only_a]
    lines += [f"only in B: {name}" for name in outcome.only_b]
    lines += [f"failed in A: {name}" for name in outcome.failed_a]
    return lines + [f"failed in B: {name}" for name in outcome.failed_b]
