"""``edgeworthy models show A --diff B``: totals with ratios, and stages side by side."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from models.cli_source import Subject
    from models.grouping import Row

FIGURES = ("parameters", "macs", "activation_bytes")
TOTALS = {
    "parameters": "parameters",
    "macs": "MACs",
    "total_activation_bytes": "memory, sum",
    "peak_activation_bytes": "memory, peak",
}


def show(first: "Subject", second: "Subject", form: str) -> None:
    """Print two networks side by side."""
    from models.cli_show import as_csv_text

    stages = aligned(first, second)
    if form == "json":
        found = {"a": first.name, "b": second.name, "totals": _totals(first, second)}
        click.echo(json.dumps(found | {"stages": stages}, indent=2))
    elif form == "csv":
        click.echo(as_csv_text(stages), nl=False)
    else:
        _print(first, second, stages)


def _totals(first: "Subject", second: "Subject") -> list[dict[str, Any]]:
    rows = []
    for key in TOTALS:
        a, b = getattr(first.analysis, key), getattr(second.analysis, key)
        rows.append({"figure": key, "a": a, "b": b, "ratio": b / a if a else None})
    return rows


def aligned(first: "Subject", second: "Subject") -> list[dict[str, Any]]:
    """Return a record for each resolution at which a stage of either network ends, largest first.

    A vector counts as 1x1, so that a classifier stands beside a convolution that does its work.
    """
    from models.grouping import stages

    sides = [_by_resolution(stages(side.analysis)) for side in (first, second)]
    found = sorted({r for side in sides for r in side}, reverse=True)
    return [
        {"resolution": resolution}
        | {
            f"{figure}_{letter}": sum(getattr(row, figure) for row in side.get(resolution, []))
            for figure in FIGURES
            for letter, side in zip("ab", sides, strict=True)
        }
        for resolution in found
    ]


def _by_resolution(stages: Sequence["Row"]) -> dict[tuple[int, ...], list["Row"]]:
    result: dict[tuple[int, ...], list[Row]] = {}
    for row in stages:
        if row.layers[0].kind != "input":
            result.setdefault(row.resolution or (1, 1), []).append(row)
    return result


def _print(first: "Subject", second: "Subject", stages: Sequence[dict[str, Any]]) -> None:
    from bench import units
    from models.table import shape, table

    shows = dict(zip(TOTALS, (units.count, units.count, units.size, units.size), strict=True))
    body = [
        [
            TOTALS[row["figure"]],
            shows[row["figure"]](row["a"]),
            shows[row["figure"]](row["b"]),
            units.times(row["ratio"]) if row["ratio"] is not None else "",
        ]
        for row in _totals(first, second)
    ]
    click.echo(table(["", f"A: {first.name}", f"B: {second.name}", "B/A"], body, left={0}))
    click.echo()
    headings = ["stages at", *(f"{w} {s}" for w in ("params", "MACs", "memory") for s in "AB")]
    shown = (units.count, units.count, units.size)
    lines = [
        [shape(row["resolution"])]
        + [
            show(row[f"{figure}_{side}"]) if row[f"{figure}_{side}"] else "-"
            for figure, show in zip(FIGURES, shown, strict=True)
            for side in "ab"
        ]
        for row in stages
    ]
    click.echo(table(headings, lines, left={0}))
