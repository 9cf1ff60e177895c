"""How many inferences a second, by streams, threads and batch, where that was asked for."""

from collections.abc import Iterator

from bench import units
from bench.report.charts_document import Chart, Mark
from bench.report.charts_strip import MOST_ROWS, Row, strip
from bench.report.charts_theme import Axis
from bench.report.material import Line, Material
from bench.rows import label, varying
from bench.stats import CONFIDENCE

RATE = Axis("inferences a second", "rate")


def rates(material: Material) -> Iterator[Chart]:
    """Yield a chart for each real device with a throughput; nothing of others."""
    places: dict[str, list[Line]] = {}
    for line in material.lines:
        if _asked(line) and not line.record.device.emulated:
            places.setdefault(line.record.device.fingerprint, []).append(line)
    yield from map(_chart, places.values())


def _asked(line: Line) -> bool:
    row = line.row
    return row.throughput is not None and row.streams is not None and not line.outdated


def _chart(lines: list[Line]) -> Chart:
    names = varying(line.row for line in lines)
    rows = [_row(line, label(line.row, names)) for line in lines]
    rows.sort(key=lambda row: (row.heading, -(row.value or 0.0)))
    most = max(rows, key=lambda row: row.value or 0.0)
    device, drawn = lines[0].row.device, rows[:MOST_ROWS]
    left = f" The first {MOST_ROWS} of {len(rows)}." if rows[MOST_ROWS:] else ""
    return Chart(
        name=f"throughput-{device}",
        title=f"Throughput on {device}",
        summary=f"Most: {most.words}. Bars: {CONFIDENCE:.0%} intervals of the median.{left}",
        picture=strip(drawn, RATE, [row.value for row in drawn if row.value is not None]),
        marks=tuple(Mark(row.words, row.source) for row in drawn),
    )


def _row(line: Line, name: str) -> Row:
    row, rate, word = line.row, line.row.throughput, line.verdict
    assert rate is not None
    figure = f"{units.count(rate.per_s)}/s"
    doubt = "" if word == "valid" else word
    words = f"{row.model}/{name}: {figure} {doubt}".rstrip()
    ends = rate.low, rate.high
    return Row(row.model, name, rate.per_s, figure, word, words, row.key, *ends, doubt)
