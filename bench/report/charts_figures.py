"""One figure of every artifact in rows: size, latency, memory, time per MAC."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench import units
from bench.candidate import AS_IS
from bench.report.charts_crowd import crowd, is_crowd
from bench.report.charts_document import Absent, Chart, Mark
from bench.report.charts_strip import MOST_ROWS, Row, strip
from bench.report.charts_theme import Axis
from bench.report.document import UNMEASURED
from bench.report.material import Group, Line, Material
from bench.stats import CONFIDENCE
from export.artifact import Manifest, Proof

TABLES = "the tables below hold all"
DOTS = " Every dot is an artifact; in words the least of each network."
BARS = f" Bars: {CONFIDENCE:.0%} intervals of the median."
# Of so many devices, threads and batches there are charts.
MOST_PLACES = 8


@dataclass(frozen=True)
class Picture:
    """What a chart of rows is called, and its axis."""

    name: str
    title: str
    side: Axis
    note: str = ""


SIZES = Picture("size", "Size by format and precision", Axis("bytes of the file", "bytes"))


def plain(group: Group) -> bool:
    """Tell whether inferences ran one by one, so that times are latencies."""
    row = group.lines[0].row
    return (row.streams or 1) == 1 and row.scenario is None


def emulated(group: Group) -> bool:
    """Tell whether the times of a group mean nothing."""
    return group.lines[0].record.device.emulated


def counted(group: Group) -> bool:
    """Tell whether what should be times are counts."""
    return group.lines[0].row.counts is not None


def remote(group: Group) -> bool:
    """Tell whether its times are those of a server's answers."""
    return group.lines[0].record.cloud is not None


def at_hand(material: Material) -> list[Group]:
    """Return the groups of real devices on which inferences ran one by one, servers left out."""
    return [g for g in material.groups if plain(g) and not emulated(g) and not remote(g)]


@dataclass(frozen=True)
class Figure:
    """A figure of measurements. `interval`: that of the median belongs to it. `fits` tells of which
    places it has a meaning, `lacking` what to say where there is none; empty: nothing.
    """

    name: str
    title: str
    side: Axis
    of: Callable[[Line], float | None]
    show: Callable[[float], str]
    note: str = ""
    interval: bool = False
    fits: Callable[[Group], bool] = lambda _: True
    lacking: str = "nothing was measured one by one; type 'bench run'"


def _seconds(line: Line) -> float | None:
    return None if line.time is None else line.time / 1e9


def _memory(line: Line) -> float | None:
    return None if line.outdated else line.row.memory_after_run


def _per_mac(line: Line) -> float | None:
    row = line.row
    return line.time / 1e9 / row.macs / row.batch if line.time and row.macs else None


def _joules(line: Line) -> float | None:
    found = () if line.outdated else line.row.energy
    return found[0].per_inference if found else None


def _short(seconds: float) -> str:
    """Return a time that may be less than a nanosecond."""
    return f"{seconds * 1e12:.3g} ps" if seconds < 0.9995e-9 else units.duration(seconds * 1e9)


MEASURED = (
    Figure(
        "latency",
        "Latency",
        Axis("p50", "time"),
        _seconds,
        lambda seconds: units.duration(seconds * 1e9),
        interval=True,
        fits=lambda group: not counted(group),
    ),
    Figure(
        "instructions",
        "Instructions",
        Axis("instructions", "count"),
        lambda line: line.time,
        lambda number: f"{units.count(number)} instructions",
        " Counted by an emulator: the same in every run, and no time.",
        fits=counted,
        lacking="",
    ),
    Figure(
        "memory",
        "Memory",
        Axis("peak", "bytes"),
        _memory,
        units.size,
    ),
    Figure(
        "time-per-mac",
        "What a MAC costs",
        Axis("p50 by MACs", "time per MAC"),
        _per_mac,
        _short,
        " Less is better use of the processor, not a faster network.",
        fits=lambda group: not emulated(group),
        lacking="nothing was measured one by one on a real device; type 'bench run'",
    ),
    Figure(
        "energy",
        "Energy of an inference",
        Axis("per inference", "energy"),
        _joules,
        units.energy,
        " All that the sensor counted meanwhile, idle power included.",
        fits=lambda group: any(_joules(line) for line in group.lines),
        lacking="",
    ),
)


def strips(material: Material) -> Iterator[Chart | Absent]:
    """Yield of each measured figure a chart for every device, the first of each before others."""
    every = [group for group in material.groups if plain(group) and not remote(group)]
    found = [list(_of(figure, every, material)) for figure in MEASURED]
    yield from (charts[0] for charts in found if charts)
    yield from (chart for charts in found for chart in charts[1:])


def _of(figure: Figure, every: Iterable[Group], material: Material) -> Iterator[Chart | Absent]:
    groups = [group for group in every if figure.fits(group)]
    if figure.lacking and not groups:
        yield Absent(figure.title, figure.lacking)
    for group in groups[:MOST_PLACES]:
        beside = [line for g in groups if emulated(g) == emulated(group) for line in g.lines]
        first = group is groups[0] and not counted(group)
        yield _measured(figure, group, material, beside, first=first)
    yield from further_places(figure.title, groups)


def by_link(material: Material) -> Iterator[Chart | Absent]:
    """Yield the latency of each server, the links over which it was reached beside each other."""
    servers: dict[tuple[str, int | None, int], list[Group]] = {}
    for group in material.groups:
        row, device = group.lines[0].row, group.lines[0].record.device
        if plain(group) and remote(group):
            servers.setdefault((device.fingerprint, row.threads, row.batch), []).append(group)
    for found in servers.values():
        lines = tuple(line for group in found for line in group.lines)
        label = f"{lines[0].row.device}, by link" if len(found) > 1 else found[0].label
        yield _measured(MEASURED[0], Group(label, lines), material, lines, first=False)


def further_places(title: str, groups: Sequence[Group]) -> Iterator[Absent]:
    """Yield what is said of places beyond those that anyone looks at in pictures."""
    if len(groups) > MOST_PLACES:
        yield Absent(f"{title} on {len(groups) - MOST_PLACES} further places", TABLES)


def _measured(
    figure: Figure, group: Group, material: Material, beside: Iterable[Line], *, first: bool
) -> Chart | Absent:
    """Return the chart of one place; all that may be compared with it share their axis."""
    title = f"{figure.title} on {group.label}"
    rows = [_row(figure, line, group) for line in group.lines]
    measured = {line.key for line in material.lines}
    never = [m for key, m in material.manifests.items() if first and key not in measured]
    rows += [_unmeasured(manifest) for manifest in never]
    reach = [value for line in beside if (value := figure.of(line)) is not None]
    name = f"{figure.name}-{group.label}"
    note = BARS if figure.interval and not is_crowd(rows) else figure.note
    picture = Picture(name, title, figure.side, note)
    return _chart(picture, _ordered(rows, material), reach)


def _row(figure: Figure, line: Line, group: Group) -> Row:
    row, value = line.row, figure.of(line)
    runtimes = {other.row.runtime for other in group.lines if other.key == line.key}
    form = f"{row.variant} {row.runtime}" if len(runtimes) > 1 else row.variant
    heading, label, over = row.model, form, ""
    if len({other.row.network for other in group.lines}) > 1:
        # Beside the form there is no room for a link.
        heading, label, over = f"{row.model}/{form}", _link(line), f" over {_link(line)}"
    figures = UNMEASURED if value is None else figure.show(value)
    word = line.verdict
    told = word == "valid" or (word == "emulated" and emulated(group))  # the title says so
    wide = figure.interval and value is not None
    ends = (row.p50_low_ns, row.p50_high_ns) if wide else (None, None)
    low, high = (None if end is None else end / 1e9 for end in ends)
    suffix = "" if word == figures else f", {word}"
    words = f"{row.model}/{form}{over}: {figures}{suffix}"
    shown, doubt = (word, "") if value is None else (figures, "" if told else word)
    return Row(heading, label, value, shown, word, words, row.key, low, high, doubt)


def _link(line: Line) -> str:
    """Return a link's name, or of one that has none its figures: ``10/5 Mbit/s, 40 ms``."""
    link = line.record.cloud.link if line.record.cloud else None
    if link is None or "=" not in link.name:
        return line.row.network or AS_IS
    both = ["-" if mbit is None else f"{mbit:g}" for mbit in (link.down_mbit, link.up_mbit)]
    rates = "/".join(dict.fromkeys(both))
    loss = [f"{100 * link.loss:g} % lost"] if link.loss else []
    return ", ".join((*([] if rates == "-" else [f"{rates} Mbit/s"]), f"{link.rtt_ms:g} ms", *loss))


def _unmeasured(manifest: Manifest) -> Row:
    name, variant, key = manifest.network.name, manifest.variant, manifest.key
    return Row(name, variant, None, UNMEASURED, UNMEASURED, f"{key}: {UNMEASURED}", key)


def sizes(material: Material) -> Iterator[Chart | Absent]:
    """Yield the chart of sizes."""
    networks = list(material.networks)
    rows = [_size(manifest) for manifest in material.manifests.values()]
    rows.sort(key=lambda row: (networks.index(row.heading), row.value))
    values = [row.value for row in rows if row.value is not None]
    yield _chart(SIZES, rows, values)


def _size(manifest: Manifest) -> Row:
    word, size = proof_word(manifest.proof), units.size(manifest.size_bytes)
    doubt = {"proved": "", "verified (emulated)": "proof emulated"}.get(word, word)
    words = f"{manifest.key}: {size}, {word}"
    name, value = manifest.network.name, float(manifest.size_bytes)
    return Row(name, manifest.variant, value, size, word, words, manifest.key, doubt=doubt)


def proof_word(proof: Proof) -> str:
    """Return what is known of an artifact's answers."""
    if proof.verified is None:
        return "unproved"
    if not proof.verified:
        return "wrong"
    return "verified (emulated)" if proof.emulated else "proved"


def _ordered(rows: Iterable[Row], material: Material) -> list[Row]:
    """Put networks in the order of their size, and the least figure below each heading first."""
    places = {name: place for place, name in enumerate(material.networks)}

    def key(row: Row) -> tuple[float | str | bool, ...]:
        place = places.get(row.heading, places.get(row.heading.rpartition("/")[0], 0))
        return place, row.heading, row.value is None, row.value or 0.0

    return sorted(rows, key=key)


def _chart(of: Picture, rows: list[Row], reach: list[float]) -> Chart | Absent:
    crowded = is_crowd(rows)
    drawn = rows if crowded else rows[:MOST_ROWS]
    known = [row for row in drawn if row.value is not None]
    if not known:
        return Absent(of.title, "none of its artifacts has a figure; type 'bench run'")
    least = min(known, key=lambda row: row.value or 0.0)
    most = max(known, key=lambda row: row.value or 0.0)
    left = f" The first {len(drawn)} of {len(rows)}: {TABLES}." if len(drawn) < len(rows) else ""
    dots = DOTS if crowded else ""
    return Chart(
        name=of.name,
        title=of.title,
        summary=f"Least: {least.words}. Most: {most.words}.{dots}{of.note}{left}",
        picture=(crowd if crowded else strip)(drawn, of.side, reach),
        marks=tuple(Mark(row.words, row.source) for row in drawn),
    )
