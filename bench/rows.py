"""One flat row for each record: the figures a table shows and `--json` prints."""

from collections.abc import Iterable

import msgspec
import numpy as np

from bench import stats
from bench.cold import ColdFigures, summed_up
from bench.evidence import uncertainty
from bench.record import Record
from bench.throttle import Endurance, endurance
from bench.verdict import verdict
from devices.device import MemorySeries

# Causes of a failure that are no fault: this device cannot run the artifact under these settings.
CANNOT_RUN = frozenset({"missing-runtime", "unsupported"})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A record's figures. Times in nanoseconds, memory in bytes (peak, by `memory_definition`).

    `verdict` is a word of `bench.verdict`, or ``unmeasured`` where the device cannot run the
    artifact. None: not measured. `end_to_end_ns` is the median over rounds with copies in and out.
    `uncertainty` is half the interval's width as a fraction (see `bench.evidence.uncertainty`).
    `calibration` is where activation ranges came from.
    """

    model: str
    format: str
    precision: str
    variant: str
    device: str
    runtime: str
    runtime_version: str | None
    timing: str | None
    threads: int | None
    threads_found: int | None
    batch: int
    size_bytes: int
    parameters: int
    macs: int
    weights: str
    calibration: str | None
    load_ns: int | None
    first_ns: int | None
    cold: ColdFigures | None
    sustained: Endurance | None
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
    """Return which of device, threads and batch are not the same in all rows, and the runtime if
    one file ran in several.
    """
    rows = list(rows)
    names = ("device", "threads", "batch")
    found = [name for name in names if len({getattr(row, name) for row in rows}) > 1]
    files = {(row.model, row.variant, row.device) for row in rows}
    runs = {(row.model, row.variant, row.device, row.runtime) for row in rows}
    return ["runtime", *found] if len(runs) > len(files) else found


def setting(row: Row, name: str) -> str:
    """Return the runtime, device, threads or batch of a row in words."""
    threads = "default" if row.threads is None else row.threads
    plural = "" if threads == 1 else "s"
    words = {
        "runtime": row.runtime,
        "device": row.device,
        "threads": f"{threads} thread{plural}",
        "batch": f"batch {row.batch}",
    }
    return words[name]


def independent(rows: Iterable[Row]) -> str:
    """Return in words what the intervals of these rows are taken over: see `bench.stats.units`."""
    kinds = {row.processes > 1 for row in rows if row.samples}
    words = {True: "fresh processes", False: "rounds"}
    return " or, of one process, ".join(words[kind] for kind in sorted(kinds, reverse=True))


def label(row: Row, names: Iterable[str]) -> str:
    """Return the variant of a row and the settings named."""
    return ", ".join((row.variant, *(setting(row, name) for name in names)))


def can_run(record: Record) -> bool:
    """Tell whether there was a runtime for the artifact, able to run it under these settings."""
    return record.failure is None or record.failure.cause not in CANNOT_RUN


def rows(records: Iterable[Record]) -> list[Row]:
    """Return a row for each record, sorted by model, device, threads, batch and variant."""
    found = [_row(record) for record in records]
    return sorted(found, key=_order)


def _order(row: Row) -> tuple[str | int, ...]:
    return row.model, row.device, row.threads or 0, row.batch, row.variant, row.runtime


def _row(record: Record) -> Row:
    manifest, settings, memory = record.manifest, record.settings, record.memory
    figures = stats.summary(record)
    judged = verdict(record, figures)
    calibration, accuracy = manifest.quantization.calibration, record.accuracy
    return Row(
        model=manifest.network.name,
        format=manifest.format,
        precision=manifest.precision,
        variant=manifest.variant,
        device=record.device.name,
        runtime=settings.runtime,
        runtime_version=settings.runtime_version,
        timing=settings.timing,
        threads=settings.threads,
        threads_found=settings.threads_found,
        batch=settings.batch,
        size_bytes=manifest.size_bytes,
        parameters=manifest.network.parameters,
        macs=manifest.network.macs,
        weights=manifest.network.weights.origin,
        calibration=calibration.source if calibration else None,
        load_ns=record.load_ns,
        first_ns=record.first_ns,
        cold=summed_up(record.cold),
        sustained=endurance(record.sustained),
        p50_ns=figures.p50_ns if figures else None,
        p50_low_ns=figures.low_ns if figures else None,
        p50_high_ns=figures.high_ns if figures else None,
        uncertainty=uncertainty(record, figures) if figures else None,
        end_to_end_ns=_end_to_end(record),
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


def _end_to_end(record: Record) -> float | None:
    found = record.end_to_end
    return float(np.median(stats.medians(found.rounds))) if found else None
