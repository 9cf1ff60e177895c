"""Which charts a report has: chosen from what was measured, with a word for what was not. Pure.

Times of emulated devices stand apart from real ones, in charts of their own.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bench.report.charts_curve import Curve, lines
from bench.report.charts_document import Absent, Chart, Mark
from bench.report.charts_family import multipliers, per_mac
from bench.report.charts_figures import by_link, sizes, strips
from bench.report.charts_map import maps
from bench.report.charts_plane import fronts, works
from bench.report.charts_rate import rates
from bench.report.charts_shares import profiled
from bench.report.charts_theme import SERIES, slug
from bench.report.material import Line, Material

Drawn = Iterable[Chart | Absent]


def charts(material: Material) -> list[Chart | Absent]:
    """Return all charts of a report, in their order; those without data say what would give it."""
    return list(_named_apart(_all(material)))


def _all(material: Material) -> Drawn:
    for topic, makers in TOPICS.items():
        for make in makers:
            for chart in make(material):
                yield replace(chart, topic=topic) if isinstance(chart, Chart) else chart


def _named_apart(found: Iterable[Chart | Absent]) -> Drawn:
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
    if not real:
        yield Absent(title, "no real device has a sustained run; type 'bench run --sustained 10m'")
        return
    devices = len({line.row.device for line in real})
    curves = [_curve(line, apart=devices > 1) for line in real]
    marks = tuple(Mark(curve.words, line.row.key) for curve, line in zip(curves, real, strict=True))
    drawn = sorted(curves, key=lambda curve: -curve.steady)[: len(SERIES)]
    some = f" Drawn are the {len(drawn)} slowest by that." if len(drawn) < len(curves) else ""
    left = len(known) - len(real)
    without = f" Without {left} of emulated devices, whose times mean nothing." if left else ""
    throttled = sum(curve.throttled_s is not None for curve in curves)
    yield Chart(
        name="sustained",
        title=title,
        summary=(
            f"{throttled} of {len(curves)} throttled. Steady by burst: {_span(curves)}."
            f"{some}{without}"
        ),
        picture=lines(drawn),
        marks=marks,
    )


def _span(curves: Sequence[Curve]) -> str:
    least, most = min(curves, key=lambda c: c.steady), max(curves, key=lambda c: c.steady)
    ends = [f"{curve.steady:.2f}x ({curve.name})" for curve in (least, most)]
    return ends[0] if len(curves) == 1 else f"from {ends[0]} to {ends[1]}"


def _curve(line: Line, *, apart: bool) -> Curve:
    run, points = line.row.sustained, line.record.sustained
    assert run is not None
    assert points is not None
    when = f"throttled after {run.throttled_s:.0f} s" if run.throttled_s else "no throttling seen"
    # A legend may have to cut what is last.
    doubt = "contended: " if run.contended else ""
    where = f" on {line.row.device}" if apart else ""
    name = f"{doubt}{line.row.variant}{where} of {line.row.model}"
    steady = run.steady_ns / run.burst_ns
    return Curve(
        name=name,
        words=f"{name}: {steady:.2f}x the burst's time, {when}",
        seconds=points.times_s,
        ratios=tuple(ns / run.burst_ns for ns in points.medians_ns),
        steady=steady,
        throttled_s=run.throttled_s,
    )


TOPICS: dict[str, tuple[Callable[[Material], Drawn], ...]] = {
    "What to choose": (fronts, sizes),
    "Device or cloud": (maps, by_link),
    "Latency and other figures": (strips, rates),
    "Work and what it takes": (works, multipliers, per_mac),
    "Where the time goes": (profiled,),
    "Running without rest": (_sustained,),
}
