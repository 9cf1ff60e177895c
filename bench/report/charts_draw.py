"""Charts as files, and as part of a page: SVG and PNG by vl-convert, without a browser."""

import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any
from xml.etree import ElementTree as Xml

import altair as alt
import vl_convert

from bench import atomic
from bench.report.charts_document import Chart
from bench.report.charts_theme import SURFACE, WIDTH

SVG = "http://www.w3.org/2000/svg"
UNDRAWABLE = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SCALE = 3  # of PNG pixels to ours
LINE, TITLE_LINE = 60, 46  # characters of a subtitle's line, and of a title's
PADDING, HEADING, SUBTITLE_LINE = 14, 24, 14  # pixels


def write(charts: list[Chart], directory: Path) -> list[Path]:
    """Write every chart as ``NAME.svg`` and ``NAME.png``; return the paths.

    Raises:
        BenchError: the directory cannot be written to.
    """
    paths = []
    for chart in charts:
        for ending in (".svg", ".png"):
            paths.append(directory / f"{chart.name}{ending}")
            atomic.write(paths[-1], picture(chart, ending))
    return paths


def picture(chart: Chart, ending: str) -> bytes:
    """Return a chart as a file of this ending, ``.svg`` or ``.png``, titled and explained."""
    spec = _drawable(_titled(chart).to_dict())
    if ending == ".png":
        return bytes(vl_convert.vegalite_to_png(spec, scale=SCALE))
    return str(vl_convert.vegalite_to_svg(spec)).encode()


def inline(chart: Chart, links: Mapping[str, str]) -> str:
    """Return a chart as SVG that can be part of a page: named, each mark with its words as a title
    and a link to what it is of.

    Args:
        chart: the chart.
        links: from a mark's source to the place in the page.
    """
    Xml.register_namespace("", SVG)
    root = Xml.fromstring(vl_convert.vegalite_to_svg(_drawable(chart.picture.to_dict())))  # noqa: S314  ours
    root.attrib.pop("width")
    root.attrib.pop("height")
    root.set("role", "group")
    root.set("aria-labelledby", f"{chart.name}-title")
    root.set("aria-describedby", f"{chart.name}-summary")
    root.set("style", f"max-width: {1.4 * WIDTH:.0f}px")
    _link(root, {_drawable(mark.label): links.get(mark.source) for mark in chart.marks})
    _own_ids(root, chart.name)
    return Xml.tostring(root, encoding="unicode")


def _titled(chart: Chart) -> alt.LayerChart:
    """Return the picture with what a page says around it."""
    title, words = wrap(chart.title, TITLE_LINE), wrap(chart.summary, LINE)
    above = HEADING * len(title) + SUBTITLE_LINE * len(words)
    titled: alt.LayerChart = chart.picture.properties(
        title=alt.TitleParams(title, subtitle=words),
        background=SURFACE[0],
        padding=PADDING,
        width=WIDTH + 2 * PADDING,
        height=chart.picture.height + 2 * PADDING + above,
    )
    return titled


def _drawable(value: Any) -> Any:
    """Replace the characters that XML cannot hold, at which vl-convert ends the process, and those
    that an attribute cannot: by its label a mark is found again.
    """
    if isinstance(value, dict):
        return {_drawable(key): _drawable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_drawable(item) for item in value]
    return UNDRAWABLE.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


def _link(root: Xml.Element, places: Mapping[str, str | None]) -> None:
    """Give every mark its words where a pointer finds them, and put it into a link."""
    marks = [
        (parent, number, child)
        for parent in root.iter()
        for number, child in enumerate(parent)
        if child.get("aria-label") in places
    ]
    for parent, number, mark in marks:
        label = mark.get("aria-label", "")
        title = Xml.Element(f"{{{SVG}}}title")
        title.text = label
        mark.insert(0, title)
        if place := places[label]:
            # Reached by keyboard through the list of figures below, once and not twice.
            link = Xml.Element(f"{{{SVG}}}a", {"href": f"#{place}", "tabindex": "-1"})
            link.append(mark)
            parent[number] = link


def _own_ids(root: Xml.Element, name: str) -> None:
    """Keep what one picture defines apart from what another does."""
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif value.startswith("url(#"):
                element.set(key, value.replace("url(#", f"url(#{name}-"))
