"""The table of `bench compare`."""

from bench import units
from bench.compare import Comparison, Outcome, Ratio
from bench.report.document import Cell, Column, Report, Table, figure, word


def compared(outcome: Outcome) -> Report:
    """Return the report of `bench compare`."""
    titles = ("A", "B", "B/A", "interval")
    return Report(
        title="B against A",
        tables=(
            Table(
                title="Medians, and the ratio with its 95 % interval",
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
        figure(pair.a_ns, units.duration),
        figure(pair.b_ns, units.duration),
        figure(pair.time.value if pair.time else None, units.times),
        Cell(_interval(pair.time)),
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


def _interval(time: Ratio | None) -> str:
    return f"{units.times(time.low)} to {units.times(time.high)}" if time else "-"


def _notes(outcome: Outcome) -> list[str]:
    lines = ["size, load, memory and top-1 are plain figures, B/A or B - A, without an interval"]
    for pair in outcome.pairs:
        if pair.incomparable:
            how = "compared anyway" if pair.time else "refused, --anyway compares them"
            lines.append(f"{pair.a}: incomparable: {'; '.join(pair.incomparable)} ({how})")
        if pair.caution:
            lines.append(f"{pair.a}: {', '.join(pair.caution)}")
    lines += [f"only in A: {name}" for name in outcome.only_a]
    lines += [f"only in B: {name}" for name in outcome.only_b]
    lines += [f"failed in A: {name}" for name in outcome.failed_a]
    return lines + [f"failed in B: {name}" for name in outcome.failed_b]
