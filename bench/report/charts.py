"""Which charts a report has: chosen from what was measured, with a word for what was not. Pure.

Times of emulated devices stand apart from real ones, in charts of their own.
"""

from collections.abc import Iterator
from dataclasses import replace

from bench.report.charts_curve import Curve, lines
from bench.report.charts_document import Absent, Chart, Mark
from bench.report.charts_figures import strips
from bench.report.charts_plane import fronts, works
from bench.report.charts_theme import slug
from bench.report.material import Line, Material

Drawn = Iterator[Chart | Absent]


def charts(material: Material) -> list[Chart | Absent]:
    """Return all charts of a report, in their order; those without data say what would give it."""
    found = [*fronts(material), *strips(material), *works(material), *_sustained(material)]
    return [*_named_apart(found), _profile()]


def _named_apart(found: list[Chart | Absent]) -> Drawn:
    """Number the names that come again, as those of two machines called the same."""
    seen: dict[str, int] = {}
    for chart in found:
        if isinstance(chart, Absent):
            yield chart
            continue
        name = slug(chart.name)
        seen[name] = seen.get(name, 0) + 1
        yield replace(chart, name=f"{name}-{seen[name]}" if seen[name] > 1 else name)


def _sustained(material: Material) -> Drawn:
    title = "Running without rest"
    known = [line for line in material.lines if line.row.sustained and not line.outdated]
    real = [line for line in known if not line.record.device.emulated]
    curves = [_curve(line) for line in real]
    if not curves:
        yield Absent(title, "no record has a sustained run; type 'bench run --sustained 10m'")
        return
    left = len(known) - len(real)
    without = f" Without {left} of emulated devices, whose times mean nothing." if left else ""
    yield Chart(
        name="sustained",
        title=title,
        summary=" ".join(f"{curve.words}." for curve in curves) + without,
        picture=lines(curves),
        marks=tuple(
            Mark(curve.words, line.row.key) for curve, line in zip(curves, real, strict=True)
        ),
    )


def _curve(line: Line) -> Curve:
    run, points = line.row.sustained, line.record.sustained
    assert run is not None
    assert points is not None
    name = f"{line.key} on {line.row.device}"
    when = f"throttled after {run.throttled_s:.0f} s" if run.throttled_s else "no throttling seen"
    doubt = ", contended" if run.contended else ""
    return Curve(
        name=f"{name}{doubt}",
        words=f"{name}: {run.steady_ns / run.burst_ns:.2f}x the burst's time, {when}{doubt}",
        seconds=points.times_s,
        ratios=tuple(ns / run.burst_ns for ns in points.medians_ns),
        throttled_s=run.throttled_s,
    )


def _profile() -> Absent:
    return Absent(
        "Where the time goes, by layer, and the roofline",
        "records hold no profile; type 'bench profile ARTIFACT --chart roofline.svg'",
    )
