"""What is to be weighed up: accuracy against latency, latency against work."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from bench import units
from bench.report.charts_document import Absent, Chart, Mark
from bench.report.charts_figures import MOST_PLACES, at_hand, further_places
from bench.report.charts_scatter import MOST_NUMBERED, Point, front, is_crowded, scatter
from bench.report.charts_theme import Axis
from bench.report.material import Group, Line, Material
from bench.report.readings import PREFERRED
from bench.verdict import DOUBTFUL
from export.artifact import Manifest

CHOICE = "What is worth choosing"
LATENCY = Axis("p50", "time")
ACCURACY = Axis("top-1", "share", zero=False, linear=True)
SIZE = Axis("bytes of the file", "bytes")
WORK = (
    ("macs", "MACs", lambda manifest: manifest.network.macs),
    ("parameters", "parameters", lambda manifest: manifest.network.parameters),
)
VOID = frozenset({"wrong", "failed", "outdated", "unmeasured"})


def fronts(material: Material) -> Iterator[Chart | Absent]:
    """Yield for each real device what is worth choosing: no other is better in both."""
    fit = [group for group in at_hand(material) if len(_usable(group)) > 1]
    if not fit:
        reason = "fewer than two artifacts were measured on one real device; type 'bench run'"
        yield Absent(CHOICE, reason)
    for group in fit[:MOST_PLACES]:
        yield _front(group, _usable(group), list(material.networks))
    yield from further_places(CHOICE, fit)


def _usable(group: Group) -> list[Line]:
    return [line for line in group.lines if line.time and line.verdict not in VOID]


def _front(group: Group, lines: Sequence[Line], every: Sequence[str]) -> Chart:
    """Weigh accuracy against latency, or size where fewer than two have an accuracy."""
    datasets = Counter(line.row.dataset for line in lines if line.row.top1 is not None)
    dataset, number = datasets.most_common(1)[0] if datasets else (None, 0)
    if number > 1:
        fit = [line for line in lines if line.row.dataset == dataset]
        return _accuracy(group, fit, len(lines) - len(fit), every)
    points = [_point(line, lines, float(line.row.size_bytes), None) for line in lines]
    found = front(points, most=False)
    return Chart(
        name=f"front-{group.label}",
        title=f"Size against latency on {group.label}",
        summary=(
            f"{_told(found)} No accuracy was measured: 'bench run --data DIR' adds it."
            f"{_crowd(points)}"
        ),
        picture=scatter(points, LATENCY, SIZE, every, found),
        marks=_marks(points),
    )


def _accuracy(group: Group, lines: Sequence[Line], left: int, every: Sequence[str]) -> Chart:
    points = [
        _point(line, lines, line.row.top1 or 0.0, float(line.row.size_bytes)) for line in lines
    ]
    found = front(points, most=True)
    row = lines[0].row
    without = f" Without {left} that have no accuracy on them." if left else ""
    return Chart(
        name=f"front-{group.label}",
        title=f"Accuracy against latency on {group.label}",
        summary=(
            f"{_told(found)} Top-1 is of {row.images} test images of {row.dataset}; the larger "
            f"the dot, the larger the file.{without}{_crowd(points)}"
        ),
        picture=scatter(points, LATENCY, ACCURACY, every, found),
        marks=_marks(points),
    )


def _point(line: Line, lines: Sequence[Line], y: float, area: float | None) -> Point:
    row, time = line.row, line.time or 0.0
    several = len({other.row.runtime for other in lines if other.key == line.key}) > 1
    top1 = "" if row.top1 is None else f", top-1 {units.percent(row.top1)}"
    figures = f"{units.duration(time)}{top1}, {units.size(row.size_bytes)}"
    return Point(
        x=time / 1e9,
        y=y,
        series=row.model,
        word=line.verdict,
        words=f"{line.key}{f' by {row.runtime}' if several else ''}: {figures}, {line.verdict}",
        source=row.key,
        area=area,
        counts=line.verdict in {"valid", *DOUBTFUL},
    )


def _told(best: Sequence[Point]) -> str:
    """Name the front's points as they are numbered in the picture."""
    if not best:
        return "No time is sure enough for a front."
    names = [f"({n}) {p.words.partition(':')[0]}" for n, p in enumerate(best, 1)]
    more = [f"and {len(names) - MOST_NUMBERED} more"] if len(names) > MOST_NUMBERED else []
    told = ", ".join((*names[:MOST_NUMBERED], *more))
    return f"On the front, as no other is better in both: {told}."


def _crowd(points: Sequence[Point]) -> str:
    return " More networks than colours: each dot says its own." if is_crowded(points) else ""


def _marks(points: Sequence[Point]) -> tuple[Mark, ...]:
    return tuple(Mark(point.words, point.source) for point in points)


def works(material: Material) -> Iterator[Chart | Absent]:
    """Yield MACs and parameters against latency, in the form and place that most networks share."""
    found = _widest(material)
    if len(found) < 2:
        yield Absent(
            "Work against latency",
            "no two networks were measured in one form on one device; type 'bench run'",
        )
        return
    for name, title, of in WORK:
        yield _work(name, title, of, material, found)


def _widest(material: Material) -> list[Line]:
    """Return the lines, one a network, of the form and the place that most networks have."""
    groups = at_hand(material)
    variants = dict.fromkeys([*PREFERRED, *material.variants])
    choices = [
        [line for name in material.networks if (line := group.best(name, variant))]
        for group in groups
        for variant in variants
    ]
    return max(choices, key=len, default=[])


def _work(
    name: str,
    title: str,
    of: Callable[[Manifest], int],
    material: Material,
    lines: Sequence[Line],
) -> Chart:
    points = [_worked(line, of(line.record.manifest), title) for line in lines]
    row = lines[0].row
    least, most = min(points, key=lambda p: p.x), max(points, key=lambda p: p.x)
    summary = (
        f"{most.series} has {units.times(most.x / least.x)} the {title} of {least.series}, and "
        f"takes {units.times(most.y / least.y)} the time, as {row.variant}.{_crowd(points)}"
    )
    group = next(g for g in material.groups if lines[0] in g.lines)
    return Chart(
        name=f"{name}-{group.label}",
        title=f"{title[0].upper()}{title[1:]} against latency on {group.label}",
        summary=summary,
        picture=scatter(points, Axis(title, "count"), LATENCY, list(material.networks)),
        marks=_marks(points),
    )


def _worked(line: Line, work: int, title: str) -> Point:
    row, time = line.row, line.time or 0.0
    return Point(
        x=float(work),
        y=time / 1e9,
        series=row.model,
        word=line.verdict,
        words=f"{line.key}: {units.count(work)} {title}, {units.duration(time)}, {line.verdict}",
        source=row.key,
    )
