"""One flat row for each record: the figures a table shows and `--json` prints."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import msgspec

from bench import units
from bench.cold import ColdFigures
from bench.energy import Joules
from bench.reading import Reading, readings
from bench.record import Record
from bench.scenario import Result
from bench.stages import StageFigures, stage_figures
from bench.throttle import Endurance, endurance
from bench.throughput import Rate
from devices.device import MemorySeries

# Causes of a failure that are no fault: this device cannot run the artifact under these settings.
CANNOT_RUN = frozenset({"missing-runtime", "unsupported"})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A record's figures. Times in nanoseconds, memory in bytes (peak, by `memory_definition`).

    `verdict` is a word of `bench.verdict`, or ``unmeasured`` where the device cannot run the
    artifact. None: not measured. With `counts` what is in nanoseconds counts that instead.
    `end_to_end_ns` is the median over rounds with copies in and out.
    `uncertainty` is half the interval's width as a fraction (see `bench.evidence.uncertainty`).
    `beside` is true of a predecessor in turns with which the next was measured. `calibration` is
    where activation ranges came from. `streams` is None where nobody asked for the
    throughput: it was one. `energy_unreadable` are sensors that are there and refused.
    `key` is the record's, its parts joined by blanks.
    """

    key: str
    model: str
    format: str
    precision: str
    variant: str
    device: str
    counts: str | None
    runtime: str
    runtime_version: str | None
    timing: str | None
    threads: int | None
    threads_found: int | None
    batch: int
    streams: int | None
    network: str | None
    beside: bool
    size_bytes: int
    parameters: int
    macs: int
    weights: str
    calibration: str | None
    load_ns: int | None
    first_ns: int | None
    cold: ColdFigures | None
    sustained: Endurance | None
    throughput: Rate | None
    scenario: Result | None
    cloud: StageFigures | None
    energy: tuple[Joules, ...]
    energy_unreadable: tuple[str, ...]
    p50_ns: float | None
    p50_low_ns: float | None
    p50_high_ns: float | None
    uncertainty: float | None
    end_to_end_ns: float | None
    end_to_end_definition: str | None
    p90_ns: int | None
    p99_ns: int | None
    samples: int
    rounds: int
    processes: int
    memory_definition: str | None
    memory_before_load: int | None
    memory_after_load: int | None
    memory_after_run: int | None
    memory_series: tuple[MemorySeries, ...]
    dataset: str | None
    images: int | None
    top1: float | None
    top5: float | None
    proved: bool | None
    verdict: str
    evidence: str
    advice: str | None


def varying(rows: Iterable[Row]) -> list[str]:
    """Return which of `SETTINGS` are not the same in all rows; the runtime if one file ran in
    several.
    """
    rows = list(rows)
    found = [name for name, (of, _) in SETTINGS.items() if len(set(map(of, rows))) > 1]
    runs = set(map(attrgetter("model", "variant", "device", "runtime"), rows))
    files = {run[:-1] for run in runs}
    return ["runtime", *found] if len(runs) > len(files) else found


def setting(row: Row, name: str) -> str:
    """Return the runtime or one of `SETTINGS` in words; empty of one stream alone, no scenario."""
    if name == "runtime":
        return row.runtime
    of, words = SETTINGS[name]
    return words(of(row))


def independent(rows: Iterable[Row]) -> str:
    """Return in words what the intervals of these rows are taken over: see `bench.stats.units`."""
    kinds = {row.processes > 1 for row in rows if row.samples}
    words = {True: "fresh processes", False: "rounds"}
    return " or, of one process, ".join(words[kind] for kind in sorted(kinds, reverse=True))


def label(row: Row, names: Iterable[str]) -> str:
    """Return the variant of a row and the settings named."""
    return ", ".join(filter(None, [row.variant, *[setting(row, name) for name in names]]))


def _streams(count: int | None) -> str:
    return "" if count is None else f"{count} stream{'' if count == 1 else 's'}"


# What may differ between measurements of one artifact and is named where it does: where it stands,
# and in words.
SETTINGS: dict[str, tuple[Callable[[Row], Any], Callable[[Any], str]]] = {
    "device": (attrgetter("device"), str),
    "threads": (attrgetter("threads"), units.threads),
    "batch": (attrgetter("batch"), "batch {}".format),
    "streams": (attrgetter("streams"), _streams),
    "scenario": (lambda row: row.scenario.name if row.scenario else "", str),
    "network": (attrgetter("network"), lambda name: f"network {name}" if name else ""),
}


def can_run(record: Record) -> bool:
    """Tell whether there was a runtime for the artifact, able to run it under these settings."""
    return record.failure is None or record.failure.cause not in CANNOT_RUN


def rows(records: Iterable[Record]) -> list[Row]:
    """Return a row for each record, sorted by model, device, threads, batch and variant."""
    return sorted([row(record) for record in readings(records)], key=_order)


def _order(row: Row) -> tuple[str | int, ...]:
    where = (row.model, row.device, row.threads or 0, row.batch, row.streams or 0)
    return *where, row.network or "", row.variant, row.runtime


def row(record: Reading) -> Row:
    """Return the row of a record."""
    manifest, settings, memory = record.manifest, record.settings, record.memory
    figures, judged = record.figures and record.figures.summary, record.verdict
    calibration, accuracy = manifest.quantization.calibration, record.accuracy
    return Row(
        key=" ".join(record.key),
        model=manifest.network.name,
        format=manifest.format,
        precision=manifest.precision,
        variant=manifest.variant,
        device=record.device.name,
        counts=record.device.counts,
        runtime=settings.runtime,
        runtime_version=settings.runtime_version,
        timing=settings.timing,
        threads=settings.threads,
        threads_found=settings.threads_found,
        batch=settings.batch,
        streams=settings.streams,
        network=settings.network,
        beside=record.beside,
        size_bytes=manifest.size_bytes,
        parameters=manifest.network.parameters,
        macs=manifest.network.macs,
        weights=manifest.network.weights.origin,
        calibration=calibration.source if calibration else None,
        load_ns=record.load_ns,
        first_ns=record.first_ns,
        cold=record.cold_figures,
        sustained=endurance(record.sustained),
        throughput=record.rate,
        scenario=record.followed,
        cloud=stage_figures(record.cloud),
        energy=record.joules,
        energy_unreadable=record.energy.sensors.unreadable if record.energy else (),
        p50_ns=figures.p50_ns if figures else None,
        p50_low_ns=figures.low_ns if figures else None,
        p50_high_ns=figures.high_ns if figures else None,
        uncertainty=record.uncertainty,
        end_to_end_ns=record.end_to_end_ns,
        end_to_end_definition=record.end_to_end.definition if record.end_to_end else None,
        p90_ns=figures.p90_ns if figures else None,
        p99_ns=figures.p99_ns if figures else None,
        samples=figures.samples if figures else 0,
        rounds=figures.rounds if figures else 0,
        processes=figures.processes if figures else 0,
        memory_definition=memory.definition if memory else None,
        memory_before_load=memory.before_load if memory else None,
        memory_after_load=memory.after_load if memory else None,
        memory_after_run=memory.after_run if memory else None,
        memory_series=memory.series if memory else (),
        dataset=accuracy.dataset if accuracy else None,
        images=accuracy.images if accuracy else None,
        top1=accuracy.top1 if accuracy else None,
        top5=accuracy.top5 if accuracy else None,
        proved=record.proof.verified,
        verdict=judged.word if can_run(record) else "unmeasured",
        evidence=judged.evidence,
        advice=judged.advice,
    )
