"""The table of energy, where there is a sensor for it."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.energy import IDLE_S, Joules
from bench.report.document import Cell, Column, Table, figure, word
from bench.rows import Row, label, varying

TITLES = ("J/inference", "above idle", "power", "idle")
NOTE = (
    "J/inference: all that the sensor counted in the rounds, idle power and other programs "
    f"included, by the inferences; above idle: less the power of {IDLE_S:g} s of idling before them"
)


def energies(rows: Sequence[Row]) -> Table | None:
    """Return a row for each measurement and sensor, None if there is none."""
    found = [(row, joules) for row in rows for joules in row.energy]
    if not found:
        return None
    names = varying(rows)
    left = (Column("network", right=False), Column("artifact", right=False))
    return Table(
        title="Energy",
        columns=(*left, Column("covers", right=False), *map(Column, TITLES)),
        rows=tuple(
            (word(row.model), word(label(row, names)), *_figures(joules)) for row, joules in found
        ),
        nested=True,
    )


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the figures mean, and which sensors cannot be read."""
    sensors = {(j.name, j.covers, j.definition) for row in rows for j in row.energy}
    if sensors:
        yield NOTE
    for name, covers, definition in sorted(sensors):
        yield f"energy ({name}): {covers}; {definition}"
    for name in sorted({name for row in rows for name in row.energy_unreadable}):
        yield (
            f"energy unmeasured: {name} is there and cannot be read; as root, let others read it: "
            "chmod a+r /sys/class/powercap/*/energy_uj"
        )


def _figures(joules: Joules) -> Iterator[Cell]:
    yield word(joules.covers)
    yield figure(joules.per_inference, units.energy)
    yield figure(joules.above_idle, units.energy)
    yield figure(joules.watts, units.power)
    yield figure(joules.idle_watts, units.power)
