"""One way to run a network, on the device or in the cloud, and what it costs there. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal

import msgspec
from msgspec.structs import replace

from bench import stats, units
from bench.energy import energy
from bench.record import Cloud, Record, Stages
from bench.rows import can_run
from bench.stats import Summary
from bench.throughput import throughput
from bench.verdict import verdict

AS_IS = "as it is"
DAYS = 30
# Joules of one multiplication and one addition in a 45 nm processor: Horowitz, "Computing's energy
# problem (and what we can do about it)", ISSCC 2014, figure 1.1.9; int8 adds into 32 bits.
JOULES_PER_MAC = {"fp32": 4.6e-12, "fp16": 1.5e-12, "int8": 0.3e-12}
UNUSABLE = frozenset({"emulated", "unproved", "wrong", "failed"})
COPIES = "with inputs handed over and outputs fetched"
CLIENT = "as the client sees it"

Where = Literal["edge", "cloud"]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the user says of use and prices: inferences a day, money per GB and per server hour."""

    per_day: int = 1000
    price_per_gb: float | None = None
    server_price_per_hour: float | None = None


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of a request's stages, in nanoseconds; None where the server does not tell."""

    encode_ns: float
    upload_download_ns: float
    queue_ns: float | None
    compute_ns: float | None

    @property
    def work_ns(self) -> float:
        """All that is not the network's, as far as it is known."""
        return self.encode_ns + (self.queue_ns or 0.0) + (self.compute_ns or 0.0)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact where it was measured. None: not measured, or not to be known.

    Attributes:
        key: the record's, its parts joined by blanks.
        setting: runtime and threads, or payload and protocol.
        site: ``on cpu`` or ``by HOST``, with the setting where there are several.
        network: how a server is reached; None on the device itself.
        unusable: why the figures may not be used, in words; None: they may.
        p50_ns: end to end, in nanoseconds, as `timing` says; `low_ns` to `high_ns` is its 95 %
            interval, see `bench.stats.median_interval`. None where instructions were counted.
        size_bytes, memory_bytes: of the network on the device; a server's network takes none there.
        file_bytes: of the model, wherever it lies.
        data_bytes: both ways, of an inference.
        energy_j: of an inference, by the sensor `energy_by`.
        arithmetic_j: an estimate of the multiplications and additions alone, see `JOULES_PER_MAC`;
            moving the operands, as a rule the larger part, is not in it.
        server_per_s: inferences per second that a server did, or (`server_estimated`) would do, one
            after another, by the time that it computes.
    """

    key: str
    model: str
    variant: str
    device: str
    setting: str
    site: str
    where: Where
    network: str | None
    verdict: str
    evidence: str
    unusable: str | None
    timing: str
    p50_ns: float | None
    low_ns: float | None
    high_ns: float | None
    p90_ns: float | None
    top1: float | None
    images: int | None
    macs: int
    file_bytes: int
    size_bytes: int
    memory_bytes: int | None
    data_bytes: int
    energy_j: float | None
    energy_by: str | None
    arithmetic_j: float | None
    stages: Shares | None
    server_per_s: float | None
    server_estimated: bool

    @property
    def name(self) -> str:
        """Return ``model/variant on cpu`` or ``model/variant by HOST over 4g``."""
        return f"{self.model}/{self.variant} {self.place}"

    @property
    def place(self) -> str:
        """Return where it runs, and how it is reached, in words."""
        way = "" if self.network in (None, AS_IS) else f" over {self.network}"
        return f"{self.site}{way}"

    @property
    def top1_between(self) -> tuple[float, float] | None:
        """Return the 95 % interval of top-1 over other images of the kind; None: not measured."""
        if self.top1 is None or not self.images:
            return None
        return stats.binomial_interval(round(self.top1 * self.images), self.images)

    def is_more_accurate(self, other: "Candidate") -> bool:
        """Tell whether its accuracy is surely higher: on as many images, the intervals apart."""
        ours, theirs = self.top1_between, other.top1_between
        if ours is None or theirs is None or self.images != other.images:
            return False
        return ours[0] > theirs[1]

    @property
    def offline(self) -> bool:
        """Tell whether it works without a network."""
        return self.where == "edge"

    @property
    def private(self) -> bool:
        """Tell whether no pixel leaves the device."""
        return self.where == "edge"

    def data_per_month(self, terms: Terms) -> int:
        """Return bytes in 30 days."""
        return self.data_bytes * terms.per_day * DAYS

    def data_price(self, terms: Terms) -> float | None:
        """Return what they cost, in the user's money."""
        price = terms.price_per_gb
        return None if price is None else self.data_per_month(terms) / 1e9 * price

    def server_price_per_million(self, terms: Terms) -> float | None:
        """Return what a million inferences cost on a server that does nothing else; 0 without."""
        if self.where == "edge":
            return 0.0
        price = terms.server_price_per_hour
        if price is None or not self.server_per_s:
            return None
        return price * 1e6 / self.server_per_s / 3600


def candidates(records: Iterable[Record]) -> list[Candidate]:
    """Return a candidate for each record of inferences made one by one.

    Of several streams or a scenario only the rate is taken: a server's throughput, for its price.
    """
    found = list(records)
    rates = _rates(found)
    return _told_apart([_candidate(r, rates.get(_service(r))) for r in found if _is_alone(r)])


def _told_apart(some: Sequence[Candidate]) -> list[Candidate]:
    """Add the setting to the sites of those that would have the same name without."""
    names = Counter(candidate.name for candidate in some)
    return [replace(c, site=f"{c.site}, {c.setting}") if names[c.name] > 1 else c for c in some]


def _is_alone(record: Record) -> bool:
    settings = record.settings
    return (settings.streams or 1) == 1 and settings.scenario is None and settings.batch == 1


def _service(record: Record) -> tuple[str, ...]:
    return record.manifest.key, record.device.fingerprint


def _rates(records: Sequence[Record]) -> dict[tuple[str, ...], float]:
    """Return the best throughput that was measured of each artifact in the cloud."""
    best: dict[tuple[str, ...], float] = {}
    for record in records:
        rate = throughput(record) if record.cloud else None
        if rate is not None:
            best[_service(record)] = max(rate.per_s, best.get(_service(record), 0.0))
    return best


def _candidate(record: Record, rate: float | None) -> Candidate:
    manifest, cloud, accuracy = record.manifest, record.cloud, record.accuracy
    judged, times = verdict(record), None if record.device.counts else _times(record)
    joules = next(iter(energy(record)), None) if cloud is None else None
    stages = _shares(cloud.stages) if cloud and cloud.stages else None
    compute = stages.compute_ns if stages else None
    return Candidate(
        key=" ".join(record.key),
        model=manifest.network.name,
        variant=manifest.variant,
        device=record.device.name,
        setting=_setting(record),
        site=f"{'by' if cloud else 'on'} {record.device.name}",
        where="cloud" if cloud else "edge",
        network=network_of(cloud),
        verdict=judged.word if can_run(record) else "unmeasured",
        evidence=judged.evidence,
        unusable=_unusable(record, judged.word, judged.evidence),
        timing=CLIENT if cloud else COPIES if record.end_to_end else "the invocation alone",
        p50_ns=times.p50_ns if times else None,
        low_ns=times.low_ns if times else None,
        high_ns=times.high_ns if times else None,
        p90_ns=times.p90_ns if times else None,
        top1=accuracy.top1 if accuracy else None,
        images=accuracy.images if accuracy else None,
        macs=manifest.network.macs,
        file_bytes=manifest.size_bytes,
        size_bytes=0 if cloud else manifest.size_bytes,
        memory_bytes=0 if cloud else record.memory.after_run if record.memory else None,
        data_bytes=cloud.request_bytes + cloud.response_bytes if cloud else 0,
        energy_j=joules.per_inference if joules else None,
        energy_by=joules.name if joules else None,
        arithmetic_j=None if cloud else arithmetic(manifest.network.macs, manifest.precision),
        stages=stages,
        server_per_s=rate or (1e9 / compute if compute else None),
        server_estimated=rate is None,
    )


def arithmetic(macs: int, precision: str) -> float | None:
    """Return joules of so many MACs, None where the number format is not in the table."""
    each = JOULES_PER_MAC.get(precision)
    return None if each is None else macs * each


def network_of(cloud: Cloud | None) -> str | None:
    """Return by which network a server was reached, None on the device itself."""
    if cloud is None:
        return None
    return cloud.link.name if cloud.link else AS_IS


def _setting(record: Record) -> str:
    settings = record.settings
    if record.cloud:
        return f"{record.cloud.payload} by {record.cloud.protocol}"
    return f"{settings.runtime}, {units.threads(settings.threads)}"


def _unusable(record: Record, word: str, evidence: str) -> str | None:
    if record.device.counts:
        return f"it counts {record.device.counts}, and they are no time"
    return f"{word}: {evidence}" if word in UNUSABLE else None


def _times(record: Record) -> Summary | None:
    """Sum up the runs with copies in and out, where there are any; a server's hold them anyway."""
    copies = record.end_to_end
    if record.cloud or copies is None:
        return stats.summary(record)
    alike = len(copies.rounds) == len(record.rounds)
    return stats.summary(
        replace(
            record, rounds=copies.rounds, processes=record.processes if alike else (), starts_ns=()
        )
    )


def _shares(stages: Sequence[Stages]) -> Shares:
    return Shares(
        encode_ns=_middle(stages, "encode") or 0.0,
        upload_download_ns=_middle(stages, "upload_download") or 0.0,
        queue_ns=_middle(stages, "queue"),
        compute_ns=_middle(stages, "compute"),
    )


def _middle(stages: Sequence[Stages], name: str) -> float | None:
    every = [ns for stage in stages for ns in getattr(stage, name) or ()]
    return float(median(every)) if every else None
