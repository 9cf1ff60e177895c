"""The part of the gate that needs records: latency, memory and accuracy of one measurement."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench import stats, units
from bench.baseline import Measurement, closest, measurement
from bench.budget import Rule
from bench.finding import Finding, Verdict, finding
from bench.noise import NoiseProfile, of
from bench.ratio import Ratio, Sides, ratios
from bench.record import Accuracy, Record
from bench.verdict import verdict

UNJUDGED = ("failed", "unproved", "emulated")
NO_ACCURACY = "the record holds no accuracy; type 'bench run --data DIR'"
# 90.3 % less 0.5 points is 89.8 %, though not in binary fractions.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Past:
    """What the records of one artifact are held against.

    `known` are the baseline's measurements by name, `noise` what 'bench calibrate' found by the
    device's fingerprint, `growth` the ratio to the closest of `known` by the record's key.
    """

    known: Mapping[str, Measurement]
    noise: Mapping[str, NoiseProfile]
    growth: Mapping[tuple[str, ...], Ratio]


def past(
    rule: Rule,
    records: Sequence[Record],
    known: Mapping[str, Measurement],
    noise: Mapping[str, NoiseProfile],
) -> Past:
    """Return what records of one artifact are held against: all ratios at once, which is quick."""
    if not known or not rule.limit.growth or rule.limit.group != "latency":
        return Past(known, noise, {})
    sides = {record.key: _sides(measurement(record), known) for record in records if record.rounds}
    return Past(known, noise, dict(zip(sides, ratios(list(sides.values())), strict=True)))


def _sides(now: Measurement, known: Mapping[str, Measurement]) -> Sides:
    before, _ = closest(now, known)
    a, b = (np.array(m.units_ns or (1,), dtype=np.float64) for m in (before, now))
    return Sides(a, b, False, (bool(before.processes_ns), bool(now.processes_ns)))


def judge_record(
    rule: Rule,
    record: Record,
    model_sha256: str,
    past: Past,
) -> Finding:
    """Hold one record against a latency, memory or accuracy rule.

    Args:
        rule: what is demanded.
        record: the latest of its key.
        model_sha256: of the artifact there now; a record of another file is not about it.
        past: what the same artifact's records are held against.
    """
    subject = measurement(record)
    if subject.model_sha256 != model_sha256:
        reason = "its record is of another file than the artifact's; type 'bench run' again"
        return finding(rule, subject.name, "unmeasured", reason)
    judged = verdict(record)
    if judged.word == "wrong":
        return finding(rule, subject.name, "fail", f"its proof failed: {judged.evidence}")
    if judged.word in UNJUDGED:
        return finding(rule, subject.name, "unmeasured", f"{judged.word}: {judged.evidence}")
    if not rule.limit.growth:
        return ABSOLUTE[rule.limit.group](rule, record)
    if not past.known:
        remedy = f"add it with 'bench baseline --records FILE --update {subject.artifact}'"
        return finding(rule, subject.name, "fail", f"the baseline has no record of it; {remedy}")
    return GROWTH[rule.limit.group](rule, record, past)


def _latency(rule: Rule, record: Record) -> Finding:
    name, figures = measurement(record).name, stats.summary(record)
    judged = verdict(record, figures)
    if figures is None or judged.word == "too short":
        return finding(rule, name, "unmeasured", judged.evidence)
    low, high = figures.low_ns, figures.high_ns
    placed = _place(low, high, rule.value)
    seen = f"p50 {units.duration(figures.p50_ns)}, {units.duration(low)} to {units.duration(high)}"
    return finding(
        rule,
        name,
        placed,
        _told(placed, seen, record),
        unit="ns",
        measured=figures.p50_ns,
        bounds=(low, high),
    )


def _latency_growth(rule: Rule, record: Record, past: Past) -> Finding:
    now = measurement(record)
    before, differences = closest(now, past.known)
    if differences:
        return _incomparable(rule, now, differences)
    fewest = min(len(now.rounds_ns), len(before.rounds_ns))
    if fewest < stats.MIN_ROUNDS or not _sides(now, past.known).enough:
        reason = (
            f"too short: {fewest} rounds; {stats.MIN_ROUNDS} are needed here and in the baseline, "
            f"of {stats.MIN_PROCESSES} processes where there are several"
        )
        return finding(rule, now.name, "unmeasured", reason)
    time = past.growth[record.key]
    p50, old = statistics.median(now.units_ns), statistics.median(before.units_ns)
    noise = of(record, past.noise)
    threshold, source = _threshold(rule, noise)
    placed = _place(time.low, time.high, 1 + threshold)
    seen = f"p50 {units.against(units.duration, p50, old)}, "
    seen += f"{units.change(time.low - 1)} to {units.change(time.high - 1)}{source}"
    return finding(
        rule,
        now.name,
        placed,
        _told(placed, seen, record),
        unit="ns",
        measured=p50,
        baseline=old,
        bounds=(time.low, time.high),
        threshold=threshold if noise else None,
    )


def _threshold(rule: Rule, noise: NoiseProfile | None) -> tuple[float, str]:
    """Return the growth to allow, never less than the device's noise, and where it is from."""
    if noise is None:
        return rule.value, ""
    floor = noise.between.floor
    found = f"the noise of {noise.device}, {units.percent(floor)} by 'bench calibrate'"
    if floor > rule.value:
        return floor, f"; held against {found}"
    return rule.value, f"; the rule is above {found}"


def _memory(rule: Rule, record: Record) -> Finding:
    now = measurement(record)
    if now.memory is None:
        return finding(rule, now.name, "unmeasured", "the record holds no memory after the runs")
    peak = now.memory.after_run
    verdict: Verdict = "pass" if peak <= rule.value else "fail"
    seen = f"{units.size(peak)} after the runs"
    return finding(rule, now.name, verdict, seen, unit="B", measured=peak)


def _memory_growth(rule: Rule, record: Record, past: Past) -> Finding:
    now = measurement(record)
    before, differences = closest(now, past.known)
    if differences:
        return _incomparable(rule, now, differences)
    if now.memory is None or before.memory is None:
        where = "the record" if now.memory is None else "the baseline"
        return finding(rule, now.name, "unmeasured", f"{where} holds no memory after the runs")
    if now.memory.definition != before.memory.definition:
        return _incomparable(
            rule, now, (f"memory: {before.memory.definition} and {now.memory.definition}",)
        )
    peak, old = now.memory.after_run, before.memory.after_run
    return finding(
        rule,
        now.name,
        "pass" if peak <= old * (1 + rule.value) else "fail",
        units.against(units.size, peak, old),
        unit="B",
        measured=peak,
        baseline=old,
    )


def _accuracy(rule: Rule, record: Record) -> Finding:
    subject, accuracy = measurement(record).name, record.accuracy
    if accuracy is None:
        return finding(rule, subject, "unmeasured", NO_ACCURACY)
    verdict: Verdict = "pass" if accuracy.top1 >= rule.value else "fail"
    seen = f"top-1 {units.percent(accuracy.top1)} of {accuracy.images} images of {accuracy.dataset}"
    return finding(rule, subject, verdict, seen, unit="share", measured=accuracy.top1)


def _accuracy_drop(rule: Rule, record: Record, past: Past) -> Finding:
    """Judge the answers: on the same images they may be compared across devices and threads."""
    now = measurement(record)
    if now.accuracy is None:
        return finding(rule, now.name, "unmeasured", NO_ACCURACY)
    rated = {name: m for name, m in past.known.items() if m.accuracy}
    before = closest(now, rated)[0].accuracy if rated else None
    if before is None:
        return finding(rule, now.name, "unmeasured", "the baseline holds no accuracy of it")
    if differences := _other_images(before, now.accuracy):
        return _incomparable(rule, now, differences)
    drop = before.top1 - now.accuracy.top1
    seen = f"top-1 {units.percent(now.accuracy.top1)} against {units.percent(before.top1)}"
    return finding(
        rule,
        now.name,
        "pass" if drop <= rule.value + ROUNDING else "fail",
        f"{seen} ({units.points(-drop)})",
        unit="share",
        measured=now.accuracy.top1,
        baseline=before.top1,
    )


ABSOLUTE: dict[str, Callable[[Rule, Record], Finding]] = {
    "latency": _latency,
    "memory": _memory,
    "accuracy": _accuracy,
}
GROWTH: dict[str, Callable[[Rule, Record, Past], Finding]] = {
    "latency": _latency_growth,
    "memory": _memory_growth,
    "accuracy": _accuracy_drop,
}


def _place(low: float, high: float, limit: float) -> Verdict:
    """Decide only where the whole interval lies on one side of the limit."""
    if high <= limit:
        return "pass"
    return "fail" if low > limit else "unmeasured"


def _told(verdict: Verdict, seen: str, record: Record) -> str:
    """Add to an undecided figure what would decide it."""
    if verdict != "unmeasured":
        return seen
    settings = record.settings
    if record.stop == "precise":
        remedy = f"measure with --precision-target below {settings.precision_target:.1%}"
    else:
        remedy = f"measure with --max-seconds above {settings.max_seconds:g}"
    return f"cannot tell: {seen}; {remedy}"


def _incomparable(rule: Rule, now: Measurement, differences: Sequence[str]) -> Finding:
    reason = f"not comparable: {'; '.join(differences)} (baseline and now)"
    return finding(rule, now.name, "unmeasured", reason)


def _other_images(before: Accuracy, now: Accuracy) -> tuple[str, ...]:
    fields = ("dataset", "fingerprint", "images")
    pairs = ((field, getattr(before, field), getattr(now, field)) for field in fields)
    return tuple(f"{field}: {a} and {b}" for field, a, b in pairs if a != b)
