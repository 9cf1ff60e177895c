"""The contrast of networks: what each costs, in which form, and where. Pure.

Times are given as a multiple of the fastest artifact with the same input on the same machine under
the same settings, not of a chosen reference network: a reference may not have been measured there,
while the fastest always was, and reads as 1.00x.
"""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench import units
from bench.baseline import Baseline, measurement
from bench.record import Record
from bench.report import notes, profiled, readings
from bench.report.design import designs, twins
from bench.report.document import (
    EMPTY,
    UNMEASURED,
    Cell,
    Column,
    Report,
    Table,
    figure,
    of,
    word,
)
from bench.report.further import further
from bench.report.material import PRECISIONS, Group, Line, Material, gather, input_size
from export.artifact import Manifest, Weights

TITLE = "Contrast of networks"
TIMES = (
    Column("network", right=False),
    Column("artifact", right=False),
    *map(Column, ("p50", "±", "x fastest", "p90", "load", "memory", "top-1")),
)
VERDICT = Column("verdict", right=False)


@dataclass(frozen=True)
class _Peers:
    """What a line is seen beside in its group: the fastest by input, the runtimes by artifact."""

    fastest: dict[str, float]
    runtimes: dict[str, set[str]]


def contrast(
    manifests: Iterable[Manifest], records: Sequence[Record], baseline: Baseline | None = None
) -> Report:
    """Return the report on artifacts and the latest record of each key.

    Args:
        manifests: of the artifacts there now; those without a record appear as unmeasured.
        records: one a key; those of another file than the artifact's are called outdated.
        baseline: adds changes of size and time against it.
    """
    return report(gather(manifests, records, baseline))


def report(material: Material) -> Report:
    """Return the report on what was gathered."""
    rows = [line.row for line in material.lines if not line.outdated]
    return Report(
        title=TITLE,
        readings=(*twins(material), *readings.sentences(material)),
        tables=(
            _networks(material),
            _sizes(material),
            *_times(material),
            *designs(material),
            *further(rows),
            *profiled.profiles(material),
        ),
        notes=tuple(notes.notes(material)),
        environment=tuple(notes.environment(material)),
    )


def _networks(material: Material) -> Table:
    titles = ("parameters", "MACs", "peak activations", "all activations")
    columns = (Column("network", right=False), Column("input"), *map(Column, titles))
    return Table(
        title="Networks",
        columns=(*columns, Column("weights", right=False), Column("top-1")),
        rows=tuple(of(m.key, _network(name, m)) for name, m in material.networks.items()),
    )


def _network(name: str, manifest: Manifest) -> tuple[Cell, ...]:
    network = manifest.network
    return (
        word(name),
        word(input_size(manifest)),
        figure(network.parameters, units.count),
        figure(network.macs, units.count),
        figure(network.peak_activation_bytes, units.size),
        figure(network.total_activation_bytes, units.size),
        word(_weights(network.weights)),
        figure(network.weights.top1, units.percent, UNMEASURED),
    )


def _weights(weights: Weights) -> str:
    return weights.dataset or weights.origin


def _sizes(material: Material) -> Table:
    """Return a row for each network and format, a column for each precision."""
    manifests = material.manifests.values()
    precisions = [p for p in PRECISIONS if any(m.precision == p for m in manifests)]
    files: dict[tuple[str, str, str], Manifest]
    files = {(m.network.name, _form(m), m.precision): m for m in manifests}
    forms = dict.fromkeys((name, form) for name, form, _ in files)
    left = (Column("network", right=False), Column("format", right=False))
    return Table(
        title="Size by format and precision",
        columns=(*left, *map(Column, precisions)),
        rows=tuple(
            (
                word(name),
                word(form),
                *(_size(files.get((name, form, p)), material) for p in precisions),
            )
            for name, form in forms
        ),
        nested=True,
    )


def _form(manifest: Manifest) -> str:
    """Return the variant's name without its precision: the format, and batch or interface."""
    return manifest.variant.replace(f"-{manifest.precision}", "", 1)


def _size(manifest: Manifest | None, material: Material) -> Cell:
    """Return an artifact's size, with what keeps it from being shipped as it is."""
    if manifest is None:
        return Cell(EMPTY)
    words = [units.size(manifest.size_bytes)]
    known = material.baseline.artifacts.get(manifest.key) if material.baseline else None
    if known:
        words.append(f"({units.change(manifest.size_bytes / known.size_bytes - 1)})")
    if manifest.proof.verified is not True:
        words.append("unproved" if manifest.proof.verified is None else "wrong")
    return Cell(" ".join(words), manifest.size_bytes, manifest.key)


def _times(material: Material) -> list[Table]:
    """Return a table for each machine and setting; what was never measured ends the first one."""
    measured = {line.key for line in material.lines}
    never = [m for key, m in material.manifests.items() if key not in measured]
    first, *others = material.groups or (Group("nothing yet", ()),)
    inputs = _inputs(line.record.manifest for line in material.lines)
    return [
        _time(first, never, inputs, material),
        *(_time(group, (), inputs, material) for group in others),
    ]


def _inputs(manifests: Iterable[Manifest]) -> dict[int, str]:
    """Return what one image is, by the identity of a manifest, which many records share."""
    alike = {id(manifest): manifest for manifest in manifests}
    return {identity: input_size(manifest) for identity, manifest in alike.items()}


def _peers(group: Group, inputs: dict[int, str]) -> _Peers:
    found = _Peers({}, {})
    for line in group.lines:
        found.runtimes.setdefault(line.key, set()).add(line.row.runtime)
        if line.time is not None:
            size = inputs[id(line.record.manifest)]
            found.fastest[size] = min(line.time, found.fastest.get(size, line.time))
    return found


def _time(
    group: Group, never: Sequence[Manifest], inputs: dict[int, str], material: Material
) -> Table:
    changes = (Column("p50 against baseline"),) if material.baseline else ()
    peers = _peers(group, inputs)
    rows = [
        *(_measured(line, inputs, peers, material) for line in group.lines),
        *(_unmeasured(m, 6 + len(changes)) for m in never),
    ]
    networks = list(dict.fromkeys(row[0].text for row in rows))  # by the fastest of each
    return Table(
        title=f"Measured on {group.label}",
        columns=(*TIMES, *changes, VERDICT),
        rows=tuple(sorted(rows, key=lambda row: networks.index(row[0].text))),
        nested=True,
    )


def _measured(
    line: Line, inputs: dict[int, str], peers: _Peers, material: Material
) -> tuple[Cell, ...]:
    row = line.row
    if line.time is None:
        failed = _unmeasured(line.record.manifest, 6 + bool(material.baseline))
        cells = (failed[0], _artifact(line, peers), *failed[2:-1], word(line.verdict))
        return of(row.key, cells)
    fastest = peers.fastest[inputs[id(line.record.manifest)]]
    return of(row.key, _figures(line, line.time, fastest, peers, material))


def _figures(
    line: Line, time: float, fastest: float, peers: _Peers, material: Material
) -> Iterator[Cell]:
    row = line.row
    show = units.count if row.counts else units.duration
    yield from (
        word(row.model),
        _artifact(line, peers),
        figure(time, units.rounded(row.counts)),
        figure(row.uncertainty, "{:.1%}".format),
        figure(time / fastest, units.times),
        figure(row.p90_ns, show),
        figure(row.load_ns, show),
        figure(row.memory_after_run, units.size, UNMEASURED),
        figure(row.top1, units.percent, UNMEASURED),
    )
    if material.baseline:
        yield _against(line, material.baseline)
    yield word(line.verdict)


def _artifact(line: Line, peers: _Peers) -> Cell:
    """Name the variant, and the runtime where the group holds several for it."""
    runtime = f" ({line.row.runtime})" if len(peers.runtimes[line.key]) > 1 else ""
    return word(f"{line.row.variant}{runtime}")


def _unmeasured(manifest: Manifest, empty: int) -> tuple[Cell, ...]:
    name, variant = word(manifest.network.name), word(manifest.variant)
    cells = (name, variant, word(UNMEASURED), *[Cell(EMPTY)] * empty, word(UNMEASURED))
    return of(manifest.key, cells)


def _against(line: Line, baseline: Baseline) -> Cell:
    """Return the change of the median, or why there is none."""
    known = baseline.of(line.key)
    if not known or line.time is None:
        return word("not in it")
    before, differences = known.closest(measurement(line.record))
    if differences or not before.units_ns:
        return word("incomparable")
    change = line.time / statistics.median(before.units_ns) - 1
    return figure(change, units.change)
