"""The table of sustained runs: burst and steady figures, the throttle point, the curve."""

from collections.abc import Sequence

import numpy as np

from bench import units
from bench.report.document import Cell, Column, Table, figure
from bench.report.lines import lines
from bench.rows import Row
from bench.throttle import Endurance

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24
# A curve is drawn at least so high, so that noise does not look like a mountain.
LEAST_RISE = 0.2
NO_THROTTLING = "not seen"
NOTE = (
    "sustained: back to back for as long as is said; burst: the median of the first ten seconds (a "
    "fifth of a shorter run); steady: of what follows the throttle point, else of the later half; "
    "throttled: from when on it stays slower by more than 5 % (Pettitt's change point); contended: "
    "it waited for a core for as long; curve: time per inference, higher is slower"
)


def sustained_runs(rows: Sequence[Row]) -> Table | None:
    """Return a line for each sustained run, None if there is none."""
    titles = ("for", "burst", "steady", "throttled")
    columns = (*map(Column, titles), Column("curve", right=False))
    return lines(
        "Sustained", columns, rows, lambda row: map(_figures, filter(None, [row.sustained]))
    )


def _figures(run: Endurance) -> tuple[Cell, ...]:
    hot = "" if run.start_c is None else f" from {run.start_c:.0f} °C"
    slower = f"{units.duration(run.steady_ns)} ({units.change(run.steady_ns / run.burst_ns - 1)})"
    when = NO_THROTTLING if run.throttled_s is None else f"after {run.throttled_s:.0f} s"
    doubt = " (contended)" if run.contended else ""
    return (
        Cell(f"{units.duration(run.seconds * 1e9)}{hot}", run.seconds),
        figure(run.burst_ns, units.duration),
        Cell(slower, run.steady_ns),
        Cell(f"{when}{doubt}", run.throttled_s),
        Cell(spark(run.curve_ns)),
    )


def spark(values: Sequence[float]) -> str:
    """Draw a curve as one line of bars, the lowest value at the bottom."""
    parts = np.array_split(np.array(values, dtype=np.float64), min(WIDTH, len(values)))
    levels = np.array([np.median(part) for part in parts])
    low = float(levels.min())
    high = max(float(levels.max()), low * (1 + LEAST_RISE))
    steps = np.rint((levels - low) / max(high - low, 1e-9) * (len(BARS) - 1)).astype(int)
    return "".join(BARS[step] for step in steps)
