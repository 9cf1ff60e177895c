"""Comparing records: the ratios of their medians and p90s, each with its interval, and what they
say. Pure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from bench import noise, sequential
from bench.conditions import Key, latest_pairs
from bench.noise import NoiseProfile
from bench.ratio import Ratio, Sides, ratios
from bench.reading import Reading, reading, readings
from bench.record import Record, load
from bench.sequential import MARGIN
from bench.stats import Figures

Word = Literal["faster", "slower", "same", "identical", "cannot tell"]
Pairing = Callable[[Record], tuple[str, ...]]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """B against A. Ratios are B/A; `accuracy` is the difference of top-1 as a fraction.

    `time`, `p90` and `word` are None where the two are incomparable and that was not waved through;
    `incomparable` says why. `pairwise`: process by process, or round by round, as both are of one
    interleaved run; `processes`: how many of each at least, 1 where it was only one. The
    word is that of the medians, and beyond `floor`: how far two measurements of one artifact may
    lie apart on this device by 'bench calibrate' (None: it was never run there). `caution` holds
    the verdicts that are not plain "valid".

    `counts` says of each what its figure counts instead of nanoseconds. Two counts that are the
    same in every run have a ratio without an interval, and the least difference is one.
    """

    a: str
    b: str
    a_ns: float
    b_ns: float
    time: Ratio | None
    p90: Ratio | None
    pairwise: bool
    processes: int
    word: Word | None
    floor: float | None
    incomparable: tuple[str, ...]
    caution: tuple[str, ...]
    size: float
    load: float | None
    memory: float | None
    accuracy: float | None
    counts: tuple[str | None, str | None] = (None, None)

    @property
    def mixed(self) -> bool:
        """Tell whether a count stands beside a time: they are never compared."""
        return self.counts[0] != self.counts[1]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All pairs of two sets of records, those without a partner, and what never succeeded.

    `margin` is how close to 1 the same is, as a fraction.
    """

    pairs: tuple[Comparison, ...]
    margin: float
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    failed_a: tuple[str, ...] = ()
    failed_b: tuple[str, ...] = ()

    @property
    def made(self) -> bool:
        """Tell whether at least one pair was really compared."""
        return any(pair.word for pair in self.pairs)


def word(time: Ratio, margin: float = MARGIN, floor: float = 0.0) -> Word:
    """Say what an interval shows: see `sequential.place`."""
    found = sequential.place(time.low, time.high, margin, floor)
    return "cannot tell" if found == "undecided" else found


@dataclass(frozen=True)
class Rule:
    """How two records are compared.

    The same lies within `margin` of 1. `anyway` compares what is incomparable too. `noise` is what
    'bench calibrate' found, by the device's fingerprint.
    """

    margin: float = MARGIN
    anyway: bool = False
    noise: Mapping[str, NoiseProfile] = field(default_factory=dict)

    def floor(self, record: Record, *, together: bool) -> float | None:
        """Return the device's noise floor between two of one run, or of two; None: not known.

        The record says whether that of one process each counts, or of several.
        """
        known = noise.of(record, self.noise)
        return (known.within if together else known.between).floor if known else None


def compare(a: Record, b: Record, rule: Rule = Rule()) -> Comparison:
    """Compare two records that hold samples: see `compare_pairs`."""
    return compare_pairs([(reading(a), reading(b))], rule)[0]


def compare_pairs(
    partners: Sequence[tuple[Reading, Reading]], rule: Rule
) -> tuple[Comparison, ...]:
    """Compare records that hold samples, two by two.

    Two formats cannot share a runtime, so the runtime is a condition only within one format.
    """
    medians = [sides(a, b) for a, b in partners]
    tails = [
        taken._replace(before=_figures(a).p90s, now=_figures(b).p90s)
        for (a, b), taken in zip(partners, medians, strict=True)
    ]
    rows = zip(partners, medians, ratios(medians), ratios(tails), strict=True)
    return tuple(_comparison(pair, taken, figures, rule) for pair, taken, *figures in rows)


def _differences(a: Reading, b: Reading) -> tuple[str, ...]:
    same_format = a.manifest.format == b.manifest.format
    return a.conditions.differences(b.conditions, runtime=same_format)


def sides(a: Reading, b: Reading) -> Sides:
    """Take the medians of processes or rounds; those of one run and setting were made in turns."""
    together = _neighbours(a) == _neighbours(b)
    return Sides(_figures(a).medians, _figures(b).medians, together, (a.several, b.several))


def _figures(record: Reading) -> Figures:
    assert record.figures is not None
    return record.figures


def _neighbours(record: Record) -> tuple[object, ...]:
    """Return what records made in turns share; before there were groups, it was the setting."""
    settings = record.settings
    threads = settings.threads if record.group is None else None
    place = (record.run, record.group, record.device.name)
    return *place, threads, settings.batch, settings.streams


def _comparison(
    pair: tuple[Reading, Reading], sides: Sides, figures: Sequence[Ratio], rule: Rule
) -> Comparison:
    a, b = pair
    differences = _differences(a, b)
    anyway = rule.anyway and a.device.counts == b.device.counts
    time, p90 = figures if anyway or not differences else (None, None)
    pairwise = sides.blocks > 0
    floor = rule.floor(b, together=pairwise)
    exact = a.verdict.exact and b.verdict.exact
    if time and exact:
        time, p90 = _exactly(a, b, "p50_ns"), _exactly(a, b, "p90_ns")
    return Comparison(
        a=a.name,
        b=b.name,
        a_ns=_figures(a).summary.p50_ns,
        b_ns=_figures(b).summary.p50_ns,
        time=time,
        p90=p90,
        pairwise=pairwise,
        processes=max(1, min(len(a.processes), len(b.processes))),
        word=_word(time, sides, rule.margin, floor or 0.0, exact=exact) if time else None,
        floor=floor,
        incomparable=differences,
        caution=_caution(a, b),
        size=b.manifest.size_bytes / a.manifest.size_bytes,
        load=_quotient(_load(a), _load(b)) if a.device.counts == b.device.counts else None,
        memory=_memory(a, b),
        accuracy=_accuracy(a, b),
        counts=(a.device.counts, b.device.counts),
    )


def _exactly(a: Reading, b: Reading, figure: str) -> Ratio:
    before, now = (getattr(_figures(r).summary, figure) for r in (a, b))
    return Ratio(value=now / before, low=now / before, high=now / before)


def _word(time: Ratio, sides: Sides, margin: float, floor: float, *, exact: bool) -> Word:
    if exact:
        return "identical" if time.value == 1 else "slower" if time.value > 1 else "faster"
    return word(time, margin, floor) if sides.enough else "cannot tell"


def compare_all(
    a: Iterable[Record], b: Iterable[Record], descriptions: Sequence[Pairing], rule: Rule
) -> Outcome:
    """Pair the records of two sets by `SAME_ARTIFACT` or `TWO_ARTIFACTS` and compare each pair."""
    partners, only_a, only_b = pairs(list(readings(a)), list(readings(b)), descriptions)
    return Outcome(
        pairs=compare_pairs(partners, rule),
        margin=rule.margin,
        only_a=tuple(sorted(r.name for r in only_a)),
        only_b=tuple(sorted(r.name for r in only_b)),
    )


def compare_successors(records: Iterable[Record], rule: Rule) -> Outcome:
    """Compare records with those of their predecessors that were measured beside them."""
    found, before = latest_pairs(readings(records))
    sampled = [r for r in found if r.key in before and r.sampled and before[r.key].sampled]
    return Outcome(
        pairs=compare_pairs([(before[r.key], r) for r in sampled], rule),
        margin=rule.margin,
        only_a=(),
        only_b=tuple(sorted(r.name for r in found if r.key not in before)),
        failed_a=tuple(sorted(r.name for r in before.values() if not r.sampled)),
        failed_b=tuple(sorted(r.name for r in found if not r.sampled)),
    )


def pairs(
    a: Sequence[Reading], b: Sequence[Reading], descriptions: Sequence[Pairing]
) -> tuple[list[tuple[Reading, Reading]], list[Reading], list[Reading]]:
    """Pair readings one to one: by the first description that fits exactly one on each side.

    Returns:
        The pairs, sorted by name, and the records of each side that found no partner.
    """
    found: list[tuple[Reading, Reading]] = []
    rest_a, rest_b = list(a), list(b)
    for description in descriptions:
        ones, others = _alone(rest_a, description), _alone(rest_b, description)
        new = [(ones[key], others[key]) for key in ones.keys() & others.keys()]
        rest_a = _without(rest_a, [pair[0] for pair in new])
        rest_b = _without(rest_b, [pair[1] for pair in new])
        found += new
    return sorted(found, key=lambda pair: (pair[0].name, pair[1].name)), rest_a, rest_b


def _without(records: Sequence[Reading], taken: Iterable[Reading]) -> list[Reading]:
    identities = {id(record) for record in taken}
    return [record for record in records if id(record) not in identities]


def _alone(records: Iterable[Reading], description: Pairing) -> dict[Key, Reading]:
    groups: dict[Key, list[Reading]] = {}
    for record in records:
        groups.setdefault(description(record), []).append(record)
    return {key: group[0] for key, group in groups.items() if len(group) == 1}


def _setting(record: Record) -> tuple[str, ...]:
    s = record.settings
    where = (record.device.fingerprint, str(s.threads), str(s.batch))
    return (*where, *load(s.streams, s.scenario, s.network))


# Before and after: the same key, or the only measurement of the same artifact.
SAME_ARTIFACT: tuple[Pairing, ...] = (
    lambda record: record.key,
    lambda record: (record.manifest.key, *_setting(record)),
    lambda record: (record.manifest.key,),
)
# Two artifacts: the same model or variant under one setting, or whatever is alone.
TWO_ARTIFACTS: tuple[Pairing, ...] = (
    lambda record: (record.manifest.network.name, *_setting(record)),
    lambda record: (record.manifest.variant, *_setting(record)),
    _setting,
    lambda record: (record.manifest.network.name,),
    lambda record: (record.manifest.variant,),
    lambda _: (),
)


def _caution(a: Reading, b: Reading) -> tuple[str, ...]:
    words = ((side, r.verdict.word) for side, r in (("A", a), ("B", b)))
    return tuple(f"{side} {said}" for side, said in words if said != "valid")


def _load(record: Reading) -> float | None:
    """Return the median of what its processes took to load, where more than the first is known."""
    return record.cold_figures.load_ns if record.cold_figures else record.load_ns


def _quotient(a: float | None, b: float | None) -> float | None:
    return b / a if a and b is not None else None


def _memory(a: Record, b: Record) -> float | None:
    """Compare the peaks after the runs, if both mean the same by it."""
    if a.memory is None or b.memory is None or a.memory.definition != b.memory.definition:
        return None
    return _quotient(a.memory.after_run, b.memory.after_run)


def _accuracy(a: Record, b: Record) -> float | None:
    """Compare top-1 shares, if both were taken on the same images."""
    if a.accuracy is None or b.accuracy is None:
        return None
    same = (a.accuracy.fingerprint, a.accuracy.images) == (
        b.accuracy.fingerprint,
        b.accuracy.images,
    )
    return b.accuracy.top1 - a.accuracy.top1 if same else None
