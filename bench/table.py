"""The table that `bench run` prints, and the notes that keep it from being misread."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from rich.markup import escape
from rich.table import Table

from bench import units
from bench.quantized import not_faster
from bench.record import Record
from bench.report import cold, endurance, further, memory
from bench.report.clocks import clocks, timings
from bench.rows import SETTINGS, Row, independent, label, rows, setting, varying
from bench.stats import CONFIDENCE
from export.artifact import doubts

UNMEASURED = "-"
STYLES = {"valid": "green", "wrong": "bold red", "failed": "red", "unmeasured": "dim"}


def table(records: Sequence[Record]) -> Table:
    """Return the records as a table: a heading for each network, below it a line a measurement.

    Figures are right-aligned with their units; what varies among `bench.rows.SETTINGS` is
    named in each line, what does not in the title, if there is anything to it.
    """
    figures = rows(records)
    changing = varying(figures)
    shown = _columns(figures)
    result = Table(title=_title(figures, changing), title_justify="left", box=None, pad_edge=False)
    result.add_column("model and artifact", overflow="fold")
    for heading, _ in shown:
        result.add_column(heading, justify="right", no_wrap=True)
    result.add_column("verdict", no_wrap=True)
    for model, lines in groupby(figures, key=lambda row: row.model):
        of_model = list(lines)
        result.add_row(f"[bold]{escape(model)}[/]{_weights(of_model[0])}")
        result.add_row(f"[dim]{_network(of_model[0])}[/]")
        for row in of_model:
            cells = [cell(row) for _, cell in shown]
            result.add_row(escape(_label(row, changing)), *cells, _verdict(row))
    return result


def notes(records: Sequence[Record]) -> list[str]:
    """Return what must be known to read the table, one line each."""
    figures = rows(records)
    files = {record.manifest.key: record.manifest for record in records}.values()
    return [
        *_definitions(figures),
        *_runtimes(figures),
        *_machines(records),
        *clocks(records),
        *_doubts(figures),
        *doubts(files),
        *not_faster(records),
    ]


def _columns(figures: Sequence[Row]) -> list[tuple[str, Callable[[Row], str]]]:
    """Return the headings and what stands below; cold starts have a table of their own."""
    warm = [
        ("load", lambda row: _figure(row, row.load_ns)),
        ("first", lambda row: _figure(row, row.first_ns)),
    ]
    copies = ("in+out", lambda row: _figure(row, row.end_to_end_ns))
    top1 = ("top-1", lambda row: _or(units.percent, row.top1))
    return [
        ("size", lambda row: units.size(row.size_bytes)),
        *([] if any(row.cold for row in figures) else warm),
        ("p50", lambda row: _figure(row, row.p50_ns)),
        ("±", lambda row: _or(lambda share: f"{share:.1%}", row.uncertainty)),
        ("p90", lambda row: _figure(row, row.p90_ns)),
        ("p99", lambda row: _figure(row, row.p99_ns)),
        *([copies] if any(row.end_to_end_ns for row in figures) else []),
        ("memory", lambda row: _or(units.size, row.memory_after_run)),
        *([top1] if any(row.top1 is not None for row in figures) else []),
    ]


def _figure(row: Row, value: float | None) -> str:
    return _or(units.measured(row.counts), value)


def _or(text: Callable[[float], str], value: float | None) -> str:
    return UNMEASURED if value is None else text(value)


def _weights(row: Row) -> str:
    return " (random weights)" if row.weights == "random" else ""


def _network(row: Row) -> str:
    return f"{units.count(row.parameters)} parameters, {units.count(row.macs)} MACs"


def _label(row: Row, changing: Sequence[str]) -> str:
    calibration = ", random calibration" if row.calibration == "random" else ""
    where = "".join(f", {words}" for name in changing if (words := setting(row, name)))
    return f"  {row.format} {row.variant.removeprefix(row.format + '-')}{calibration}{where}"


def _verdict(row: Row) -> str:
    style = STYLES.get(row.verdict, "yellow")
    return f"[{style}]{row.verdict}[/]"


def _title(figures: Sequence[Row], changing: Sequence[str]) -> str:
    if not figures:
        return "nothing was measured"
    fixed = [setting(figures[0], name) for name in SETTINGS if name not in changing]
    return ", ".join(filter(None, fixed))


def _definitions(figures: Sequence[Row]) -> Iterator[str]:
    if any(row.samples for row in figures):
        yield (
            f"p50: median over {independent(figures)}, ± half its {CONFIDENCE:.0%} interval; "
            "p90, p99: of all samples, the maximum where there are few"
        )
    yield from timings(figures)
    how = {(row.runtime, row.end_to_end_definition) for row in figures if row.end_to_end_ns}
    if how:
        named = ", ".join(f"{runtime} {definition}" for runtime, definition in sorted(how))
        yield f"p50 is of the invocation alone; in+out: with inputs and outputs copied ({named})"
    if any(row.cold for row in figures):
        yield cold.NOTE
    if any(row.sustained for row in figures):
        yield endurance.NOTE
    yield from further.definitions(figures)
    yield from memory.definitions(figures)
    for dataset, images in sorted({(row.dataset, row.images) for row in figures if row.dataset}):
        yield f"top-1: on {images} test images of {dataset}, as run on the device"


def _runtimes(figures: Iterable[Row]) -> Iterator[str]:
    known = {(row.runtime, row.runtime_version) for row in figures if row.runtime_version}
    if known:
        yield f"runtimes: {', '.join(f'{name} {version}' for name, version in sorted(known))}"
    for row in figures:
        if row.threads is not None and row.threads_found not in (None, row.threads):
            yield f"{_subject(row)}: {row.threads_found} threads found, {row.threads} asked for"


def _machines(records: Iterable[Record]) -> Iterator[str]:
    devices = {record.device.fingerprint: record.device for record in records}
    for device in devices.values():
        counted = f"its figures are {device.counts}, no times" if device.counts else ""
        emulated = f" (emulated: {counted or 'its times mean nothing'})" if device.emulated else ""
        facts = ", ".join(f"{name} {value}" for name, value in device.facts.items())
        yield f"device {device.name}{emulated}: {facts}"


def _doubts(figures: Sequence[Row]) -> Iterator[str]:
    changing = varying(figures)
    for row in figures:
        if row.verdict != "valid":
            advice = f"; {row.advice}" if row.advice else ""
            yield f"{row.model}/{label(row, changing)}: {row.verdict}: {row.evidence}{advice}"


def _subject(row: Row) -> str:
    return f"{row.model}/{row.variant}"
