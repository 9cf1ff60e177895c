"""The table of energy, where there is a sensor for it."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.energy import IDLE_S
from bench.report.document import Cell, Column, Table, figure, word
from bench.report.lines import lines
from bench.rows import Row

TITLES = ("J/inference", "above idle", "power", "idle")
READABLE = "chmod a+r /sys/class/powercap/*/energy_uj"
NOTE = (
    "J/inference: all that the sensor counted in the rounds, idle power and other programs "
    f"included, by the inferences; above idle: less the power of {IDLE_S:g} s of idling before them"
)


def energies(rows: Sequence[Row]) -> Table | None:
    """Return a line for each measurement and sensor, None of none."""
    columns = (Column("covers", right=False), *map(Column, TITLES))
    return lines("Energy", columns, rows, _figures)


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the figures mean, and which sensors cannot be read."""
    sensors = {(j.name, j.covers, j.definition) for row in rows for j in row.energy}
    if sensors:
        yield NOTE
    for name, covers, definition in sorted(sensors):
        yield f"energy ({name}): {covers}; {definition}"
    for name in sorted({name for row in rows for name in row.energy_unreadable}):
        remedy = f"; as root, let others read it: {READABLE}" if name.startswith("RAPL ") else ""
        yield f"energy unmeasured: {name} is there and cannot be read{remedy}"


def _figures(row: Row) -> Iterator[tuple[Cell, ...]]:
    for joules in row.energy:
        yield (
            word(joules.covers),
            figure(joules.per_inference, units.energy),
            figure(joules.above_idle, units.energy),
            figure(joules.watts, units.power),
            figure(joules.idle_watts, units.power),
        )
