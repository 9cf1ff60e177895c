"""A report as one HTML file: it needs no network, no server, and no script to be read."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

import jinja2
from markupsafe import Markup

from bench.report import html_sources, tradeoff
from bench.report.charts_document import Absent, Chart, Mark
from bench.report.charts_draw import inline
from bench.report.charts_theme import DARK, GRID, INK, MUTED, SERIES, SURFACE, slug
from bench.report.decision import recommended
from bench.report.document import Cell, Column, Report, Table
from bench.report.glance import statements
from bench.report.material import Material
from bench.verdict import DOUBTFUL

GOOD = frozenset({"valid", "proved"})
BAD = frozenset({"wrong", "failed"})
DOUBTS = frozenset(
    {*DOUBTFUL, "too short", "emulated", "unproved", "unmeasured", "outdated", "incomparable",
     "verified (emulated)"}
)  # fmt: skip
# What stands open: charts of a topic, rows of a table and of all, sentences, records or artifacts.
MOST_SHOWN, MOST_ROWS, MOST_OPEN, MOST_SENTENCES, MOST_NOTES, MOST_SOURCES = 4, 24, 80, 4, 12, 12
# After these a name may go on in the next line.
JOINTS = re.compile(r"(?<=[@/_,:])(?=\w)")


@dataclass(frozen=True)
class Figure:
    """A chart in the page: its picture, and the same in words, each with its link."""

    chart: Chart
    svg: Markup
    marks: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Topic:
    """Charts that stand together: those `shown`, and `further` ones that are folded away."""

    title: str
    anchor: str
    shown: tuple[Figure, ...]
    further: tuple[Figure, ...]


@dataclass(frozen=True)
class GridRow:
    """A row in the page: its heading, what stands `above` that in small, and the cells."""

    above: str
    heading: Cell
    cells: tuple[tuple[Column, Cell], ...]


@dataclass(frozen=True)
class Grid:
    """A table in the page; of a nested one, the first two columns are one."""

    title: str
    anchor: str
    corner: str
    columns: tuple[Column, ...]
    rows: tuple[GridRow, ...]
    open: bool


@dataclass(frozen=True)
class Decision:
    """Device or cloud: what is recommended, and why."""

    recommended: Grid
    readings: tuple[str, ...]
    grids: tuple[Grid, ...]
    notes: tuple[str, ...]


def page(report: Report, material: Material, charts: Sequence[Chart | Absent]) -> str:
    """Return the page. What comes from records and manifests is escaped."""
    sources = {
        "Records": html_sources.records(material),
        **({"Profiles": html_sources.profiles(material)} if material.profiles else {}),
        "Artifacts": html_sources.artifacts(material),
    }
    links = {source.key: source.anchor for found in sources.values() for source in found}
    script = _resource("page.js")
    return _template().render(
        report=report,
        statements=list(statements(material)),
        decision=_decision(material),
        topics=_topics([chart for chart in charts if isinstance(chart, Chart)], links),
        absent=[chart for chart in charts if isinstance(chart, Absent)],
        grids=_grids("table", report.tables),
        sources=sources,
        most=MOST_SENTENCES,
        most_notes=MOST_NOTES,
        most_sources=MOST_SOURCES,
        summary=_summary(material),
        links=links,
        css=Markup(_theme() + _resource("page.css")),  # noqa: S704  ours
        script=Markup(script),  # noqa: S704  ours
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        tone=tone,
    )


def tone(word: str) -> str | None:
    """Return the class of a word of judgement, None of any other text."""
    tones = {"good": GOOD, "bad": BAD, "doubt": DOUBTS}
    return next((name for name, words in tones.items() if word in words), None)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["breakable"] = breakable
    return environment.from_string(_resource("page.html"))


def breakable(text: str) -> Markup:
    """Return a text, escaped, that may be broken within its long names."""
    return Markup("<wbr>").join(JOINTS.split(text))


def _resource(name: str) -> str:
    return files("bench.report").joinpath(name).read_text("utf-8")


def _topics(charts: Sequence[Chart], links: Mapping[str, str]) -> list[Topic]:
    found: dict[str, list[Figure]] = {}
    for chart in charts:
        found.setdefault(chart.topic, []).append(_figure(chart, links))
    return [
        Topic(title, f"charts-{slug(title)}", tuple(some[:MOST_SHOWN]), tuple(some[MOST_SHOWN:]))
        for title, some in found.items()
    ]


def _decision(material: Material) -> Decision | None:
    if material.tradeoff is None:
        return None
    found = tradeoff.report(material.tradeoff)
    first, *grids = _grids("decision-table", (recommended(material.tradeoff), *found.tables))
    return Decision(first, found.readings, tuple(grids), found.notes)


def _figure(chart: Chart, links: Mapping[str, str]) -> Figure:
    svg = Markup(inline(chart, links))  # noqa: S704  made by a serializer, which escapes
    return Figure(chart, svg, tuple(_place(mark, links) for mark in chart.marks))


def _place(mark: Mark, links: Mapping[str, str]) -> tuple[str, str | None]:
    return mark.label, links.get(mark.source)


def _grids(name: str, tables: Sequence[Table]) -> tuple[Grid, ...]:
    """Return the tables; the first that are short stand open, as long as they are few."""
    left, found = MOST_OPEN, []
    for number, table in enumerate(tables, 1):
        rows = len(table.rows)
        opened = rows <= min(left, MOST_ROWS)
        left -= rows if opened else 0
        found.append(_grid(f"{name}-{number}", table, opened=opened))
    return tuple(found)


def _grid(anchor: str, table: Table, *, opened: bool) -> Grid:
    first = 2 if table.nested else 1
    names, columns = table.columns[:first], table.columns[first:]
    rows = (
        GridRow(
            above=row[0].text if table.nested else "",
            heading=row[first - 1],
            cells=tuple(zip(columns, row[first:], strict=True)),
        )
        for row in table.rows
    )
    corner = " and ".join(column.title for column in names)
    return Grid(table.title, anchor, corner, columns, tuple(rows), opened)


def _summary(material: Material) -> str:
    lines = material.lines
    words = [line.verdict for line in lines]
    counted = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))
    devices = len({line.record.device.fingerprint for line in lines})
    return (
        f"{len(material.networks)} networks, {len(material.manifests)} artifacts, "
        f"{len(lines)} measurements on {devices} device{'' if devices == 1 else 's'}"
        f"{f': {counted}' if counted else ''}"
    )


def _theme() -> str:
    """Return the colours as CSS; in the dark, those of the pictures are replaced, too."""
    names = {"surface": SURFACE, "ink": INK, "muted": MUTED, "line": GRID, "link": SERIES[0]}
    light, dark = (
        "".join(f"--{name}:{pair[theme]};" for name, pair in names.items()) for theme in (0, 1)
    )
    swaps = "".join(
        f'svg [{part}="{old}"]{{{part}:{new}}}'
        for old, new in DARK.items()
        for part in ("fill", "stroke")
    )
    return (
        f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}{swaps}}}"
    )
