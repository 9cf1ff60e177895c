"""The tables of `bench profile`, as plain text."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.profile import Effort, Operation, Profile, ridge

SHOWN = 12
GAP = 2
LEAST_NAME = 12
FIGURES = ("time", "share", "GFLOP/s", "GB/s", "MACs/B", "bound")
UNKNOWN = "-"
SHORT_NS = 10_000


def text(profile: Profile, width: int, *, every: bool) -> str:
    """Return the tables and notes; the tables keep within `width` characters, from 80 up.

    Without `every`, the operators that took longest; with it, all in the order they ran.
    """
    shown = list(profile.operations)
    if not every and len(shown) > SHOWN:
        shown = sorted(shown, key=lambda operation: -operation.effort.ns)[:SHOWN]
    operators = _table(("layer", "operator", *FIGURES), [_row(profile, o) for o in shown], width, 2)
    title = f"{profile.artifact}: {profile.setting}, {profile.runs} runs"
    lines = [title, *operators, *_rest(profile, shown), "", *_kinds(profile, width), ""]
    return "\n".join([*lines, *notes(profile)])


def notes(profile: Profile) -> Iterator[str]:
    """Yield what must be known to read the tables, one line each."""
    peak = profile.peak
    yield peaks(profile)
    yield (
        f"no latency, as profiling slows ('bench run' measures that): a run's operators took "
        f"{units.duration(profile.profiled_ns)}, a run without it "
        f"{units.duration(profile.unprofiled_ns)} (overhead {units.change(profile.overhead)})"
    )
    efforts = [operation.effort for operation in profile.operations]
    if any((effort.gigabytes or 0) > peak.bytes / 1e9 for effort in efforts):
        yield "GB/s above the peak: from a cache"
    if any(effort.gflops > peak.flops / 1e9 for effort in efforts):
        yield "GFLOP/s above the peak: in integers, or by a kernel better than numpy's"
    if _is_coarse(profile):
        yield "the profiler's clock counts whole microseconds: operators of a few are rough"
    if any(not operation.layer for operation in profile.operations):
        yield f"layer {UNKNOWN}: added by the runtime, to reorder or convert values"


def peaks(profile: Profile) -> str:
    """Return in words what the device can do, and where memory bounds."""
    peak = profile.peak
    return (
        f"measured peak ({peak.method}), as many threads: {number(peak.flops / 1e9)} GFLOP/s in "
        f"float32, {number(peak.bytes / 1e9)} GB/s; memory bounds below "
        f"{number(ridge(peak))} MACs/B"
    )


def _is_coarse(profile: Profile) -> bool:
    samples = [ns for operation in profile.operations for ns in operation.times.ns]
    return min(samples) < SHORT_NS and not any(ns % 1000 for ns in samples)


def _row(profile: Profile, operation: Operation) -> tuple[str, ...]:
    figures = _figures(profile, operation.effort)
    return (operation.layer or UNKNOWN, operation.times.kind, *figures)


def _rest(profile: Profile, shown: Sequence[Operation]) -> Iterator[str]:
    if left := len(profile.operations) - len(shown):
        ns = profile.total_ns - sum(operation.effort.ns for operation in shown)
        share = f"{100 * ns / profile.total_ns:.1f}%"
        yield f"{left} more took {units.duration(ns)}, {share}; --all lists all, in order"


def _kinds(profile: Profile, width: int) -> list[str]:
    rows = [
        (f"{kind} ({count})", units.count(effort.macs), *_figures(profile, effort))
        for kind, (count, effort) in profile.by_kind().items()
    ]
    return _table(("kind (operators)", "MACs", *FIGURES), rows, width, 1)


def _figures(profile: Profile, effort: Effort) -> tuple[str, ...]:
    computes = effort.macs > 0
    return (
        units.duration(effort.ns),
        f"{100 * profile.share(effort):.1f}%",
        number(effort.gflops) if computes else UNKNOWN,
        number(effort.gigabytes),
        number(effort.intensity) if computes else UNKNOWN,
        effort.bound(profile.peak) or UNKNOWN,
    )


def number(value: float | None) -> str:
    """Return three significant digits, a dash of what is not known."""
    if value is None:
        return UNKNOWN
    if value < 0.1:
        return f"{value:.3f}"
    return f"{value:#.3g}".rstrip(".") if value < 999.5 else f"{value:.0f}"


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, names: int
) -> list[str]:
    """Return lines; where they would be too wide, the second of the columns that are `names` loses
    its end, then the first its beginning.
    """
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for column in reversed(range(names)):
        excess = sum(widths) + GAP * (len(widths) - 1) - width
        widths[column] = max(min(LEAST_NAME, widths[column]), widths[column] - max(0, excess))
    return [_line(row, widths, names) for row in (headings, *rows)]


def _line(row: Sequence[str], widths: Sequence[int], names: int) -> str:
    cells = [
        _cut(text, width, place).ljust(width) if place < names else text.rjust(width)
        for place, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return (" " * GAP).join(cells).rstrip()


def _cut(name: str, width: int, place: int) -> str:
    if len(name) <= width:
        return name
    return f"{name[: width - 1]}…" if place else f"…{name[1 - width :]}"
