"""Readings: records without their samples, but with all that is ever asked of those. Pure.

A record is mostly samples, and what they say is computed once, for many records together: so a
hundred thousand of them fit in memory and are judged in seconds.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from msgspec.structs import asdict, replace

from bench import stats
from bench.cold import ColdFigures, all_summed_up
from bench.conditions import Conditions, Key, conditions
from bench.energy import Joules, energy
from bench.evidence import uncertainties
from bench.record import Record, key
from bench.scenario import Result, result
from bench.stats import Figures
from bench.throughput import Rate, throughput
from bench.verdict import Verdict, verdicts

# So many records are held with their samples at once.
CHUNK = 256
_GONE: dict[str, Any] = {
    "rounds": (),
    "starts_ns": (),
    "usage": (),
    "cold": (),
    "warm_up": None,
    "throughput": None,
    "surroundings": None,
}


class Reading(Record, frozen=True, kw_only=True):
    """A record whose samples, and what else went into its verdict, were left out.

    `figures` and `rate` are None where there were no samples; `end_to_end_ns` is the median over
    rounds with copies in and out; `followed` is what a scenario's run shows; `uncertainty` is that
    of `bench.evidence`. `key`, `conditions` and `name` are asked for so often that they are kept.
    """

    key: Key
    conditions: Conditions
    name: str
    figures: Figures | None
    uncertainty: float | None
    verdict: Verdict
    cold_figures: ColdFigures | None
    end_to_end_ns: float | None
    rate: Rate | None
    followed: Result | None
    joules: tuple[Joules, ...]

    def __post_init__(self) -> None:
        """Check nothing: the record was."""

    @property
    def sampled(self) -> bool:
        """Tell whether there were samples."""
        return self.figures is not None


def reading(record: Record) -> Reading:
    """Return the reading of one record: see `readings`."""
    return record if isinstance(record, Reading) else next(readings([record]))


def readings(records: Iterable[Record]) -> Iterator[Reading]:
    """Yield the readings of records, in their order; what is one already is passed on."""
    stream = iter(records)
    while some := list(islice(stream, CHUNK)):
        fields = reduced([record for record in some if not isinstance(record, Reading)])
        yield from (r if isinstance(r, Reading) else made(next(fields)) for r in some)


def reduced(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Yield the fields of the readings of records, but for those that `made` adds."""
    figures = stats.all_figures(records)
    columns = zip(
        records,
        figures,
        _uncertainties(records, figures),
        verdicts(records, figures),
        all_summed_up([record.cold for record in records]),
        stats.typical([r.end_to_end.rounds if r.end_to_end else () for r in records]),
        strict=True,
    )
    for record, known, unsure, found, cold, copies in columns:
        yield {
            **asdict(record),
            **_GONE,
            **_without_samples(record),
            "figures": known,
            "uncertainty": unsure,
            "verdict": found,
            "cold_figures": cold,
            "end_to_end_ns": copies,
            "rate": throughput(record),
            "followed": result(record.scenario),
            "joules": energy(record),
        }


def made(fields: dict[str, Any]) -> Reading:
    """Return the reading of these fields: see `reduced`."""
    manifest, device, settings = (fields[name] for name in ("manifest", "device", "settings"))
    where = conditions(device, settings, fields["cloud"])
    return Reading(
        **fields,
        key=key(manifest, device, settings),
        conditions=where,
        name=f"{manifest.key} {where.label}",
    )


def _uncertainties(
    records: Sequence[Record], figures: Sequence[Figures | None]
) -> list[float | None]:
    both = [(record, known) for record, known in zip(records, figures, strict=True) if known]
    made = iter(uncertainties([record for record, _ in both], [known for _, known in both]))
    return [next(made) if known else None for known in figures]


def _without_samples(record: Record) -> dict[str, Any]:
    copies, spent, asked = record.end_to_end, record.energy, record.scenario
    return {
        "end_to_end": copies and replace(copies, rounds=()),
        "energy": spent and replace(spent, rounds=()),
        "scenario": asked and replace(asked, latencies=()),
    }
