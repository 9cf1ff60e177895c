"""The table of what was profiled: each kind of operator with its share and what it achieved."""

from collections.abc import Iterator

from bench import units
from bench.report.document import EMPTY, Cell, Column, Table, figure, of, word
from bench.report.material import Material
from bench.report.profile import number
from bench.stored_profile import StoredProfile

TITLES = ("operators", "MACs", "time", "share", "GFLOP/s", "MACs/B")
NOTE = (
    "operators: of a run with the runtime's profiler, which slows, so that shares hold and the sum "
    "is no latency; GFLOP/s: 2 operations a MAC; bound: the roof above it, by the measured peaks"
)


def profiles(material: Material) -> Iterator[Table]:
    """Yield the table, if anything was profiled."""
    if not material.profiles:
        return
    yield Table(
        title="Time by kind of operator",
        columns=(
            Column("network", right=False),
            Column("kind", right=False),
            *map(Column, TITLES),
            Column("bound", right=False),
        ),
        rows=tuple(row for kept in material.profiles for row in _rows(kept)),
        nested=True,
    )


def definitions(material: Material) -> Iterator[str]:
    """Yield what the figures mean, and which profiles are of unproved files."""
    if material.profiles:
        yield NOTE
    for kept in material.profiles:
        if kept.proof.verified is not True:
            yield f"profile of {kept.manifest.key}: unproved: {kept.proof.reason}"


def _rows(kept: StoredProfile) -> Iterator[tuple[Cell, ...]]:
    profile = kept.profile
    doubt = "" if kept.proof.verified else ", unproved"
    name = word(f"{profile.artifact}, {profile.setting}{doubt}")
    for kind, (count, effort) in profile.by_kind().items():
        computes = effort.macs > 0
        cells = (
            name,
            word(kind),
            figure(count, units.whole),
            figure(effort.macs, units.count) if computes else Cell(EMPTY),
            figure(effort.ns, units.duration),
            figure(profile.share(effort), lambda share: f"{share:.1%}"),
            figure(effort.gflops, number) if computes else Cell(EMPTY),
            figure(effort.intensity if computes else None, number),
            word(effort.bound(profile.peak) or EMPTY),
        )
        yield of(" ".join(kept.key), cells)
