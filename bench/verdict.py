"""What a record is worth: one word, the evidence for it, and what would help. Pure."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from bench import advice, exact, stats, units
from bench.evidence import Evidence, evidences, is_drifting
from bench.record import Record
from bench.scenario import shortfall
from bench.share import Share
from bench.stats import MIN_PROCESSES, MIN_ROUNDS, Figures, Summary

Word = Literal[
    "valid", "too short", "throttled", "contended", "drifting", "noisy",
    "emulated", "unproved", "wrong", "failed",
]  # fmt: skip
# Words for figures that hold with caution: there are enough of them, and of the right network.
DOUBTFUL = frozenset({"noisy", "drifting", "contended", "throttled"})
# What a p90 leaves out.
DISTURBED = 0.1
ENDS = {
    "precise": "tight enough",
    "decided": "the question was decided",
    "time": "the time was up",
}


class Verdict(msgspec.Struct, frozen=True):
    """What a record is worth: one word, the evidence for it in one line, and what would help.

    `exact`: its figures are counts, no times, and will be the same in the next run.
    """

    word: Word
    evidence: str
    advice: str | None = None
    exact: bool = False

    @property
    def holds(self) -> bool:
        """Tell whether its figures may be believed: as times, or as exact counts."""
        return self.word == "valid" or self.exact


def verdict(record: Record) -> Verdict:
    """Judge a record: see `verdicts`."""
    return verdicts([record], [stats.figures(record)])[0]


def verdicts(records: Sequence[Record], figures: Sequence[Figures | None]) -> list[Verdict]:
    """Judge records, whose figures are given (see `bench.stats.figures`).

    A wrong answer comes before every other word, a failure next; then that the device is emulated,
    that nothing proved the answers, and only then whether the figures are sure enough: a cause
    (throttled, contended) before what it leads to (drifting, noisy). Many records at once cost less
    than one by one.
    """
    said: list[Verdict | None] = [*map(_plain, records, figures)]
    numbers = [n for n, found in enumerate(said) if found is None]
    open_ = [records[n] for n in numbers]
    of_open = [known for n in numbers if (known := figures[n])]
    for n, record, known, found in zip(
        numbers, open_, of_open, evidences(open_, of_open), strict=True
    ):
        said[n] = _sureness(record, known.summary, found)
    return [found for found in said if found]


def _plain(record: Record, figures: Figures | None) -> Verdict | None:
    """Return the verdict if it does not depend on the evidence."""
    if record.proof.verified is False:
        return _wrong(record)
    if record.failure is not None:
        failure = record.failure
        return Verdict("failed", f"{failure.stage}: {failure.cause}: {failure.detail}")
    if figures is None:
        return Verdict("failed", "the record holds no samples", "measure it again")
    return _meaningless(record, figures) or _shortness(record, figures.summary)


def _meaningless(record: Record, figures: Figures) -> Verdict | None:
    if record.device.emulated and record.device.counts is None:
        return Verdict("emulated", "right answers, but the times of an emulator mean nothing")
    if record.proof.verified is None:
        return Verdict("unproved", record.proof.reason or "its answers were not compared")
    return _counted(record, figures) if record.device.counts else None


def _counted(record: Record, figures: Figures) -> Verdict:
    """Judge counts: those of one thread will be the same in the next run."""
    known, threads = figures.summary, record.settings.threads
    told = f"{units.whole(known.p50_ns)} {record.device.counts}"
    if exact.is_exact(figures.rounds, threads):
        return Verdict("emulated", f"{told}, the same in every run, and no time", exact=True)
    span = " to ".join(units.whole(end) for end in (known.low_ns, known.high_ns))
    if threads != 1:
        why = "threads take turns by chance"
        return Verdict("emulated", f"{told}, {span}: {why}", "count one, by --threads 1")
    return Verdict("emulated", f"{told}, {span} in {known.rounds} rounds: not exact")


def _shortness(record: Record, known: Summary) -> Verdict | None:
    return _too_short(record, known) if _is_too_short(record, known) else None


def _wrong(record: Record) -> Verdict:
    reason = record.proof.reason or "its answers differ from the original's"
    remedy = (
        "let it serve this artifact" if record.cloud else "export it again or use another runtime"
    )
    return Verdict("wrong", reason, f"its times are void; {remedy}")


def _sureness(record: Record, figures: Summary, found: Evidence) -> Verdict:
    target = record.settings.precision_target
    width = f"± {found.half_width:.1%} over {_seen(figures)}"
    told = "; ".join((f"{width}, {ENDS.get(record.stop, record.stop)}", *_signs(record, found)))
    if found.throttling:
        return Verdict("throttled", f"{found.throttling}; {told}", advice.throttled(record, found))
    if _is_contended(found.share, target):
        return Verdict("contended", told, advice.contended(record, found))
    if found.trend and is_drifting(found.trend, target):
        return Verdict("drifting", told, advice.drifting(record, found.trend.change))
    if record.stop != "decided" and (found.half_width > target or _is_split(found, target)):
        told = f"{told}; the target is {100 * target:.3g}%"
        return Verdict("noisy", told, advice.noisy(record, found))
    return Verdict("valid", told)


def _seen(figures: Summary) -> str:
    processes = f"{figures.processes} processes, " if figures.processes > 1 else ""
    return f"{processes}{figures.rounds} rounds, {figures.samples} samples"


def _is_too_short(record: Record, figures: Summary) -> bool:
    if shortfall(record.scenario):
        return True
    return figures.rounds < MIN_ROUNDS or 1 < figures.processes < MIN_PROCESSES


def _too_short(record: Record, figures: Summary) -> Verdict:
    if short := shortfall(record.scenario):
        return Verdict("too short", short, advice.full_length(record))
    factor, needed = MIN_ROUNDS / figures.rounds, f"{MIN_ROUNDS} rounds"
    if record.several:
        factor = max(factor, MIN_PROCESSES / figures.processes)
        needed = f"{MIN_PROCESSES} processes and {needed}"
    told = f"{_seen(figures)}; an interval needs {needed}"
    return Verdict("too short", told, advice.more_time(record, factor))


def _is_contended(share: Share, target: float) -> bool:
    """Tell whether the worker was without a core for longer than the precision asked for, and that
    not only in invocations so rare that neither the p50 nor the p90 knows of them.
    """
    return (share.disturbed or 0) > DISTURBED and max(share.lost or 0, share.stolen or 0) > target


def _is_split(found: Evidence, target: float) -> bool:
    return found.levels is not None and found.levels.high > (1 + target) * found.levels.low


def _signs(record: Record, found: Evidence) -> Iterator[str]:
    """Yield what is out of the ordinary, in words and figures."""
    target, share = record.settings.precision_target, found.share
    each = "processes" if record.several else "rounds"
    if record.warm_up and not record.warm_up.steady:
        yield f"not steady after {units.duration(record.warm_up.seconds * 1e9)} of warm-up"
    if found.trend and is_drifting(found.trend, target):
        yield f"{units.change(found.trend.change)} from first to last (p = {found.trend.p:.1g})"
    if found.levels and _is_split(found, target):
        low, high = units.duration(found.levels.low), units.duration(found.levels.high)
        yield f"two levels, {low} and {high} ({found.levels.share_high:.0%} of the {each})"
    if found.autocorrelation is not None:
        yield f"rounds resemble their neighbours (autocorrelation {found.autocorrelation:.2f})"
    if share.lost is not None and share.lost > target:
        rarely = f", in {share.disturbed:.1%} of the runs"
        yield f"waiting for a core {share.lost:.0%} of the time{rarely}"
    if share.stolen is not None and share.stolen > target:
        yield f"{share.stolen:.0%} of the time stolen by the hypervisor"
    if share.others is not None and share.others > advice.HOUSEKEEPING:
        yield f"other programs on {share.others:.0%} of the cores"
