"""Networks of one family by their multipliers, and what a MAC costs them on each device.

MobileNets, section 3.3 and 3.4: width thins every layer, resolution shrinks its input; both lower
the MACs about by their square.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from bench import units
from bench.report.charts_document import Chart, Mark
from bench.report.charts_figures import at_hand
from bench.report.charts_plane import ACCURACY, LATENCY
from bench.report.charts_scatter import Point, scatter
from bench.report.charts_theme import Axis
from bench.report.design import families, fastest_float
from bench.report.material import Group, Line, Material
from export.artifact import Network

MACS = Axis("MACs", "count")
PER_MAC = Axis("time per MAC", "time per MAC")
LEAST = 3  # networks of a curve


def multipliers(material: Material) -> Iterator[Chart]:
    """Yield for each family of which enough were measured on one device, in float32, its MACs
    against latency, and its accuracy where enough have one on the same images.
    """
    for name, some in families(material).items():
        networks = [manifest.network for manifest in some]
        found = [(g, _measured(networks, g, material)) for g in at_hand(material)]
        group, lines = max(found, key=lambda one: len(one[1]), default=(None, []))
        if group and len(lines) >= LEAST:
            yield _curve(name, group, lines, accurate=False)
            if len(known := _on_same_images(lines)) >= LEAST:
                yield _curve(name, group, known, accurate=True)


def _on_same_images(lines: Sequence[Line]) -> list[Line]:
    tests = Counter(
        (line.row.dataset, line.row.images) for line in lines if line.row.top1 is not None
    )
    most = tests.most_common(1)[0][0] if tests else None
    return [line for line in lines if (line.row.dataset, line.row.images) == most]


def _measured(networks: Sequence[Network], group: Group, material: Material) -> list[Line]:
    """Return the lines of those networks that were, the widest first."""
    lines = [line for n in networks if (line := fastest_float(n.name, group, material))]
    return sorted(lines, key=lambda line: -_setting(line, "width"))


def _setting(line: Line, name: str) -> float:
    value = line.record.manifest.network.settings[name]
    assert isinstance(value, int | float)
    return value


def _curve(name: str, group: Group, lines: Sequence[Line], *, accurate: bool) -> Chart:
    points = [_point(line, accurate=accurate) for line in lines]
    series = list(dict.fromkeys(point.series for point in points))
    least, most = min(lines, key=_macs), max(lines, key=_macs)
    ratio = (most.time or 0.0) / (least.time or 1.0)
    test = f"{lines[0].row.images} images of {lines[0].row.dataset}"
    what = f"top-1 on {test}" if accurate else "MACs"
    return Chart(
        name=f"multipliers-{name}{'-accuracy' if accurate else ''}",
        title=f"{name}: {'accuracy' if accurate else 'MACs'} by width on {group.label}",
        summary=(
            f"{most.row.model} does {units.times(_macs(most) / _macs(least))} the MACs of "
            f"{least.row.model} in {units.times(ratio)} the time. In float32, against {what}; a "
            "number is the width, a line joins one resolution."
        ),
        picture=scatter(points, LATENCY, ACCURACY if accurate else MACS, series, joined=True),
        marks=tuple(Mark(point.words, point.source) for point in points),
    )


def _macs(line: Line) -> int:
    return max(1, line.row.macs)


def _point(line: Line, *, accurate: bool) -> Point:
    row, time, width = line.row, line.time or 0.0, _setting(line, "width")
    top1 = "" if row.top1 is None else f", top-1 {units.percent(row.top1)}"
    return Point(
        x=time / 1e9,
        y=(row.top1 or 0.0) if accurate else float(row.macs),
        series=f"{_setting(line, 'resolution'):g} pixels",
        word=line.verdict,
        words=(
            f"{line.key}: {units.duration(time)}, {units.count(row.macs)} MACs{top1}, "
            f"{line.verdict}"
        ),
        source=row.key,
        label=f"{width:g}",
    )


def per_mac(material: Material) -> Iterator[Chart]:
    """Yield what a MAC costs by network and device, where there are several real ones."""
    groups = at_hand(material)
    points = [
        _cost(line, group)
        for group in groups
        for name in material.networks
        if (line := fastest_float(name, group, material)) and line.row.macs
    ]
    if len({point.series for point in points}) < 2:
        return
    least, most = min(points, key=lambda p: p.y), max(points, key=lambda p: p.y)
    yield Chart(
        name="mac-by-device",
        title="What a MAC costs by device",
        summary=(
            f"Least: {least.words}. Most: {most.words}. In float32; MACs alone tell no latency, as "
            "the same number takes another time in each network and on each device."
        ),
        picture=scatter(points, MACS, PER_MAC, [group.label for group in groups]),
        marks=tuple(Mark(point.words, point.source) for point in points),
    )


def _cost(line: Line, group: Group) -> Point:
    row, time = line.row, line.time or 0.0
    cost = time / row.macs / row.batch
    return Point(
        x=float(row.macs),
        y=cost / 1e9,
        series=group.label,
        word=line.verdict,
        words=f"{line.key} on {group.label}: {1000 * cost:.3g} ps, {line.verdict}",
        source=row.key,
    )
