"""The part of the gate that needs records: latency, memory and accuracy of one measurement."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec.structs import replace

from bench import stats, units
from bench.baseline import Measurement, Past, measurement
from bench.budget import Rule
from bench.compare import sides
from bench.conditions import Key, succeeded
from bench.finding import Finding, Verdict, finding
from bench.noise import NoiseProfile, of
from bench.ratio import Ratio, Sides, ratios
from bench.reading import Reading
from bench.record import Accuracy, Record

UNJUDGED = ("failed", "unproved", "emulated")
NO_TIME = (
    "a count of instructions is no time; limit its growth, by max-latency-growth, or name the "
    "devices that the rule is for, by device"
)
NO_ACCURACY = "the record holds no accuracy; type 'bench run --data DIR'"
# 90.3 % less 0.5 points is 89.8 %, though not in binary fractions.
ROUNDING = 1e-12


class Subject(msgspec.Struct, frozen=True):
    """A record that may be judged, reduced to what a baseline would keep of it."""

    record: Reading
    now: Measurement

    @property
    def name(self) -> str:
        """Return what the record is about."""
        return self.record.name


class Before(msgspec.Struct, frozen=True):
    """What a record is held against: the closest of the baseline's, and what differs there.

    `ratio` is the growth of latency, where that is asked for, and `enough` says whether it may be
    believed; `noise` is what 'bench calibrate' found.
    `together`: the baseline's own file was measured anew, in turns with the record's.
    """

    known: Measurement
    differences: tuple[str, ...]
    noise: NoiseProfile | None
    ratio: Ratio | None = None
    enough: bool = False
    together: bool = False


@dataclass(frozen=True)
class Yardstick:
    """What growth is judged by.

    Attributes:
        known: the baseline's measurements of the artifact, None if it has none.
        beside: by a record's key the baseline's own file, measured in turns with it: its latency
            is held against that, and not against what it was in another run.
        noise: what 'bench calibrate' found, by the device's fingerprint.
    """

    known: Past | None
    beside: Mapping[Key, Reading]
    noise: Mapping[str, NoiseProfile]


def judge_records(
    rule: Rule, records: Sequence[Reading], model_sha256: str, yardstick: Yardstick
) -> Iterator[Finding]:
    """Hold records of one artifact against a latency, memory or accuracy rule.

    Args:
        rule: what is demanded.
        records: the latest of each key.
        model_sha256: of the artifact there now; a record of another file is not about it.
        yardstick: what growth is judged by.

    Yields:
        One finding a record, in order.
    """
    subjects = [Subject(record, measurement(record)) for record in records]
    pasts = _pasts(rule, subjects, yardstick) if rule.limit.growth else {}
    for subject in subjects:
        if refused := _refused(rule, subject, model_sha256):
            yield refused
        elif not rule.limit.growth:
            yield ABSOLUTE[rule.limit.group](rule, subject)
        elif yardstick.known is None and subject.record.key not in pasts:
            remedy = f"add it with 'bench baseline --records FILE --update {subject.now.artifact}'"
            reason = f"the baseline has no record of it; {remedy}"
            yield finding(rule, subject.name, "fail", reason)
        else:
            yield GROWTH[rule.limit.group](rule, subject, pasts.get(subject.record.key))


def _refused(rule: Rule, subject: Subject, model_sha256: str) -> Finding | None:
    """Say why a record cannot be judged, whatever its figures."""
    judged = subject.record.verdict
    if subject.now.model_sha256 != model_sha256:
        reason = "its record is of another file than the artifact's; type 'bench run' again"
        return finding(rule, subject.name, "unmeasured", reason)
    if judged.word == "wrong":
        return finding(rule, subject.name, "fail", f"its proof failed: {judged.evidence}")
    if judged.word in UNJUDGED and not judged.exact:
        return finding(rule, subject.name, "unmeasured", f"{judged.word}: {judged.evidence}")
    return None


def _pasts(rule: Rule, subjects: Sequence[Subject], yardstick: Yardstick) -> dict[Key, Before]:
    """Return by key what records are held against."""
    known, group = yardstick.known, rule.limit.group
    if known and group == "accuracy":
        known = Past(one for one in known.by_name.values() if one.accuracy)
    found: dict[Key, Before] = {}
    if known and known.by_name:
        for s in subjects:
            closest, differences = known.closest(s.now)
            found[s.record.key] = Before(closest, differences, of(s.record, yardstick.noise))
    if group != "latency":
        return found
    return _with_ratios(found, subjects) | _side_by_side(subjects, yardstick)


def _with_ratios(found: dict[Key, Before], subjects: Sequence[Subject]) -> dict[Key, Before]:
    """Add the growth of latency: all ratios at once, which is quick."""
    if not found:
        return {}
    timed = [(s, found[s.record.key]) for s in subjects if s.record.sampled]
    both = [_sides(before.known, subject.now) for subject, before in timed]
    for (subject, before), taken, ratio in zip(timed, both, ratios(both), strict=True):
        found[subject.record.key] = replace(before, ratio=ratio, enough=taken.enough)
    return found


def _side_by_side(subjects: Sequence[Subject], yardstick: Yardstick) -> dict[Key, Before]:
    beside = yardstick.beside
    pairs = [(beside[s.record.key], s.record) for s in subjects if s.record.key in beside]
    sound = [(a, b) for a, b in pairs if succeeded(a) and a.sampled and b.sampled]
    both = [sides(*pair) for pair in sound]
    return {
        now.key: Before(
            measurement(before), (), of(now, yardstick.noise), ratio, taken.enough, together=True
        )
        for (before, now), taken, ratio in zip(sound, both, ratios(both), strict=True)
    }


def _sides(before: Measurement, now: Measurement) -> Sides:
    a, b = (np.array(m.units_ns or (1,), dtype=np.float64) for m in (before, now))
    return Sides(a, b, False, (bool(before.processes_ns), bool(now.processes_ns)))


def _latency(rule: Rule, subject: Subject) -> Finding:
    record, judged = subject.record, subject.record.verdict
    if judged.exact:
        return finding(rule, subject.name, "unmeasured", NO_TIME)
    if record.figures is None or judged.word == "too short":
        return finding(rule, subject.name, "unmeasured", judged.evidence)
    figures = record.figures.summary
    low, high = figures.low_ns, figures.high_ns
    placed = _place(low, high, rule.value)
    seen = f"p50 {units.duration(figures.p50_ns)}, {units.duration(low)} to {units.duration(high)}"
    return finding(
        rule,
        subject.name,
        placed,
        _told(placed, seen, record),
        unit="ns",
        measured=figures.p50_ns,
        bounds=(low, high),
    )


def _latency_growth(rule: Rule, subject: Subject, past: Before | None) -> Finding:
    assert past is not None
    now, before, time = subject.now, past.known, past.ratio
    if past.differences:
        return _incomparable(rule, now, past.differences)
    if now.count and before.count:
        return _count_growth(rule, now, now.count, before.count)
    fewest = min(len(now.rounds_ns), len(before.rounds_ns))
    if time is None or fewest < stats.MIN_ROUNDS or not past.enough:
        reason = (
            f"too short: {fewest} rounds; {stats.MIN_ROUNDS} are needed here and in the baseline, "
            f"of {stats.MIN_PROCESSES} processes where there are several"
        )
        return finding(rule, subject.name, "unmeasured", reason)
    p50, old = statistics.median(now.units_ns), statistics.median(before.units_ns)
    threshold, source = _threshold(rule, past)
    placed = _place(time.low, time.high, 1 + threshold)
    seen = f"p50 {units.against(units.duration, p50, old)}, "
    seen += f"{units.change(time.low - 1)} to {units.change(time.high - 1)}"
    seen += f"{', side by side' if past.together else ''}{source}"
    return finding(
        rule,
        subject.name,
        placed,
        _told(placed, seen, subject.record),
        unit="ns",
        measured=p50,
        baseline=old,
        bounds=(time.low, time.high),
        threshold=threshold if past.noise else None,
    )


def _count_growth(rule: Rule, now: Measurement, count: int, old: int) -> Finding:
    """Judge what is counted the same in every run: by nothing but the two counts."""
    grown = "identical" if count == old else f"{100 * (count / old - 1):+.3g} %"
    counted = now.conditions.counts
    return finding(
        rule,
        now.name,
        "pass" if count <= old * (1 + rule.value) else "fail",
        f"{units.whole(count)} {counted} against {units.whole(old)}: {grown}",
        unit=counted,
        measured=count,
        baseline=old,
    )


def _threshold(rule: Rule, past: Before) -> tuple[float, str]:
    """Return the growth to allow, never less than the device's noise, and where it is from."""
    noise = past.noise
    if noise is None:
        return rule.value, ""
    floor = (noise.within if past.together else noise.between).floor
    found = f"the noise of {noise.device}, {units.percent(floor)} by 'bench calibrate'"
    if floor > rule.value:
        return floor, f"; held against {found}"
    return rule.value, f"; the rule is above {found}"


def _memory(rule: Rule, subject: Subject) -> Finding:
    now = subject.now
    if now.memory is None:
        return finding(rule, now.name, "unmeasured", "the record holds no memory after the runs")
    peak = now.memory.after_run
    verdict: Verdict = "pass" if peak <= rule.value else "fail"
    seen = f"{units.size(peak)} after the runs"
    return finding(rule, now.name, verdict, seen, unit="B", measured=peak)


def _memory_growth(rule: Rule, subject: Subject, past: Before | None) -> Finding:
    assert past is not None
    now, before = subject.now, past.known
    if past.differences:
        return _incomparable(rule, now, past.differences)
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


def _accuracy(rule: Rule, subject: Subject) -> Finding:
    accuracy = subject.now.accuracy
    if accuracy is None:
        return finding(rule, subject.name, "unmeasured", NO_ACCURACY)
    verdict: Verdict = "pass" if accuracy.top1 >= rule.value else "fail"
    seen = f"top-1 {units.percent(accuracy.top1)} of {accuracy.images} images of {accuracy.dataset}"
    return finding(rule, subject.name, verdict, seen, unit="share", measured=accuracy.top1)


def _accuracy_drop(rule: Rule, subject: Subject, past: Before | None) -> Finding:
    """Judge the answers: on the same images they may be compared across devices and threads."""
    now = subject.now
    if now.accuracy is None:
        return finding(rule, now.name, "unmeasured", NO_ACCURACY)
    before = past.known.accuracy if past else None
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


ABSOLUTE: dict[str, Callable[[Rule, Subject], Finding]] = {
    "latency": _latency,
    "memory": _memory,
    "accuracy": _accuracy,
}
GROWTH: dict[str, Callable[[Rule, Subject, Before | None], Finding]] = {
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
