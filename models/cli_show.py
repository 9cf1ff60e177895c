"""``edgeworthy models show``: where a network's parameters, arithmetic and memory go."""

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from models.cli_source import Subject
    from models.grouping import Row
    from models.layer import Analysis

BAR = (0, 10)
# The columns that have bars, and the figure that each shows.
_BARS = {"params": "parameters", "MACs": "macs", "memory": "activation_bytes"}
LEGEND = (
    "One image, float32. MACs: a multiply-accumulate is 1. Memory: what a layer\n"
    "allocates; batch norm, activations and additions write over their input, and are\n"
    "part of its row. Bars: share of the column's largest."
)
WIDE_LEGEND = (
    "MACs/B: MACs per byte of inputs, weights and output, each moved once. Field: the input\n"
    "pixels that one output value sees."
)


@click.command()
@click.argument("name")
@click.option(
    "--input",
    "shapes",
    multiple=True,
    metavar="1x3x224x224",
    help="Input shape of a network of your own, FILE.py:FACTORY; once for each input.",
)
@click.option(
    "--by",
    type=click.Choice(["layer", "block", "stage"]),
    help="What a row is (default: layer, or block where those are over 60).",
)
@click.option("--all", "every", is_flag=True, help="A row for every operator.")
@click.option("--wide", is_flag=True, help="More columns: weights, intensity, receptive field.")
@click.option("--diff", "other", metavar="OTHER", help="Beside another network, by resolution.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def show(
    *,
    name: str,
    shapes: tuple[str, ...],
    by: str | None,
    every: bool,
    wide: bool,
    other: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show where the parameters, arithmetic and memory of NAME go.

    NAME is a network of the zoo, one of your own (FILE.py:FACTORY with --input, or FILE.pt2), or
    an exported artifact's directory or a bare FILE.onnx, FILE.tflite, FILE.mlpackage, whose
    operators are then listed.
    """
    from models import cli_show_artifact, cli_show_diff
    from models.cli_source import is_artifact, subject

    _refuse(by=by, every=every, other=other, as_csv=as_csv, as_json=as_json)
    _refuse_shapes(shapes, [name, *([other] if other else [])])
    form = "json" if as_json else "csv" if as_csv else "table"
    if other and is_artifact(other):
        raise click.UsageError("--diff is for networks, not for artifacts")
    if is_artifact(name):
        if other or by or wide:
            raise click.UsageError("--diff, --by and --wide are for networks, not for artifacts")
        cli_show_artifact.show(Path(name), form, every=every)
        return
    found = subject(name, list(shapes))
    if other:
        cli_show_diff.show(found, subject(other, list(shapes)), form)
        return
    _show(found, "operator" if every else by, form, wide=wide)


def _refuse(*, by: str | None, every: bool, other: str | None, as_csv: bool, as_json: bool) -> None:
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    if other and (by or every):
        raise click.UsageError("--diff compares by resolution: leave --by and --all out")
    if by and every:
        raise click.UsageError("--all is a row for every operator: leave --by out")


def _refuse_shapes(shapes: Sequence[str], names: Sequence[str]) -> None:
    from models.cli_source import is_python

    if shapes and not any(map(is_python, names)):
        raise click.UsageError(
            "--input is for a network of your own, FILE.py:FACTORY; the others know their shapes"
        )


def _show(found: "Subject", by: str | None, form: str, *, wide: bool) -> None:
    from models.grouping import GROUPINGS, default_grouping

    chosen = by or default_grouping(found.analysis)
    rows = GROUPINGS[chosen](found.analysis)
    if form == "json":
        click.echo(json.dumps(_as_data(found, chosen, rows), indent=2))
    elif form == "csv":
        click.echo(as_csv_text([row.figures() for row in rows]), nl=False)
    else:
        _print(found, rows, chosen, wide=wide, chosen_here=by is None)


def _as_data(found: "Subject", chosen: str, rows: Sequence["Row"]) -> dict[str, Any]:
    from models.remarks import remarks

    totals = {k: v for k, v in asdict(found.analysis).items() if k != "layers"}
    return {
        "name": found.name,
        **totals,
        "weight_bytes": 4 * found.analysis.parameters,
        "remarks": remarks(found.analysis),
        "by": chosen,
        "rows": [row.figures() for row in rows],
    }


def _listed(values: Sequence[object]) -> str:
    between = "x" if all(isinstance(value, int) for value in values) else " "
    return between.join(map(str, values))


def as_csv_text(records: Sequence[dict[str, Any]]) -> str:
    """Return records of the same keys as CSV: a shape as 64x56x56, names with spaces between."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(records[0])
    for record in records:
        values = (_listed(v) if isinstance(v, tuple | list) else v for v in record.values())
        writer.writerow(values)
    return out.getvalue()


def _print(
    found: "Subject", rows: Sequence["Row"], chosen: str, *, wide: bool, chosen_here: bool
) -> None:
    from models.remarks import remarks
    from models.table import terminal_width

    analysis = found.analysis
    click.echo(_wide(rows, analysis) if wide else _narrow(rows))
    click.echo()
    for label, value, words in totals(analysis):
        click.echo(f"{label:<20}{value:>9}  {words}".rstrip())
    click.echo()
    for line in remarks(analysis):
        click.echo(textwrap.fill(line, terminal_width(), subsequent_indent="  "))
    click.echo(click.style(f"\n{LEGEND}", dim=True))
    if wide:
        click.echo(click.style(WIDE_LEGEND, dim=True))
    if chosen_here and chosen != "layer":
        click.echo(f"shown by {chosen}; --by layer has more rows, --all every operator", err=True)


def totals(analysis: "Analysis") -> list[tuple[str, str, str]]:
    """Return the network's figures: what, how much, and what it means."""
    from bench import units

    return [
        ("parameters", units.count(analysis.parameters), f"{analysis.parameters:,}"),
        ("weights", units.size(4 * analysis.parameters), "in float32"),
        ("MACs", units.count(analysis.macs), f"{analysis.macs:,}"),
        (
            "memory, sum",
            units.size(analysis.total_activation_bytes),
            "all that the layers allocate, the input included",
        ),
        (
            "memory, peak",
            units.size(analysis.peak_activation_bytes),
            "alive at once at most: what a device must have",
        ),
    ]


def _narrow(rows: Sequence["Row"]) -> str:
    """Return the table that fits 80 columns: bars take the room that names leave."""
    from models.table import shape, table, terminal_width

    headings = ["layer", "kind", "output", *_BARS]
    words = [[row.name, row.label, shape(row.output_shape[1:])] for row in rows]

    def drawn(width: int) -> str:
        columns = [
            _with_bars([getattr(row, key) for row in rows], key, width) for key in _BARS.values()
        ]
        body = [[*line, *cells] for line, *cells in zip(words, *columns, strict=True)]
        return table(headings, body, left=set(range(len(headings))))

    room = terminal_width() - max(map(len, drawn(0).splitlines()))
    return drawn(min(max(room // len(_BARS), BAR[0]), BAR[1]))


def _with_bars(parts: Sequence[int], key: str, width: int) -> list[str]:
    """Return each figure with a bar, whose full width is that of the largest."""
    from bench import units
    from models.table import bar

    show = units.size if key == "activation_bytes" else units.count
    figures = [show(part) if part else "" for part in parts]
    widest, largest = max(map(len, figures)), max(parts) or 1
    return [
        f"{figure:>{widest}} {bar(part / largest, width)}"
        for figure, part in zip(figures, parts, strict=True)
    ]


def _wide(rows: Sequence["Row"], analysis: "Analysis") -> str:
    from bench import units
    from models.table import shape, table

    def share(part: int, whole: int) -> str:
        return f"{100 * part / whole:.1f} %" if part else ""

    headings = ["layer", "kind", "folded in", "output", "params", "", "weights", "MACs", ""]
    headings += ["MACs/B", "memory", "", "field"]
    body = [
        [
            row.name,
            row.label,
            ", ".join(row.folded) if len(row.folded) < 4 else f"{len(row.layers) - 1} operators",
            shape(row.output_shape[1:]),
            units.count(row.parameters) if row.parameters else "",
            share(row.parameters, analysis.parameters),
            units.size(4 * row.parameters) if row.parameters else "",
            units.count(row.macs) if row.macs else "",
            share(row.macs, analysis.macs),
            f"{row.intensity:.1f}" if row.macs else "",
            units.size(row.activation_bytes) if row.activation_bytes else "",
            share(row.activation_bytes, analysis.total_activation_bytes),
            _field(row.receptive_field),
        ]
        for row in rows
    ]
    return table(headings, body, left={0, 1, 2, 3})


def _field(field: tuple[int, ...] | None) -> str:
    """Return a receptive field as one number where it is square."""
    if field is None:
        return "all"
    return str(field[0]) if len(set(field)) == 1 else "x".join(map(str, field))
