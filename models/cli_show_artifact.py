"""``edgeworthy models show DIRECTORY``: the operators of an exported file."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from export.artifact import Manifest
    from export.inspection import Operator

MOST_ROWS = 60


def show(directory: Path, form: str, *, every: bool) -> None:
    """Print the operators of an artifact or of a bare model file, and what was fused in it."""
    from models.cli_source import is_model_file

    if not is_model_file(directory.name):
        _show(directory, form, every=every)
        return
    from devices import scratch
    from export.bare import adopt

    with scratch.directory() as work:
        _show(adopt(directory, work / "adopted"), form, every=every)


def _show(directory: Path, form: str, *, every: bool) -> None:
    from export.artifact import load
    from export.inspection import findings, inspect
    from models.cli_show import as_csv_text

    manifest = load(directory)
    operators = inspect(directory, manifest)
    if form == "csv":
        click.echo(as_csv_text([asdict(operator) for operator in operators]), nl=False)
        return
    words = findings(operators, manifest.format)
    if form == "json":
        found: dict[str, Any] = {"artifact": manifest.key, "bytes": manifest.size_bytes}
        found |= {"findings": words, "operators": [asdict(operator) for operator in operators]}
        click.echo(json.dumps(found, indent=2))
        return
    _print(manifest, operators, words, every=every)


def _print(
    manifest: "Manifest", operators: "Sequence[Operator]", words: Sequence[str], *, every: bool
) -> None:
    from bench import units
    from models.table import table

    shown = [o for o in operators if every or o.place != "weights"]
    if len(shown) <= MOST_ROWS or every:
        click.echo(_listed(shown) + "\n")
    else:
        click.echo(f"{len(shown)} operators; --all lists them", err=True)
    counts = [
        [
            kind,
            len(of),
            units.size(sum(o.weight_bytes for o in of if o.place != "weights")),
            units.size(sum(o.output_bytes for o in of)),
        ]
        for kind, of in _by_kind(operators).items()
    ]
    click.echo(table(["operator", "count", "weights", "outputs"], counts, left={0}))
    click.echo()
    click.echo(f"{manifest.key}: {units.size(manifest.size_bytes)}, {len(operators)} operators")
    for line in words:
        click.echo(line)


def _by_kind(operators: "Sequence[Operator]") -> dict[str, "list[Operator]"]:
    result: dict[str, list[Operator]] = {}
    for operator in operators:
        result.setdefault(operator.kind, []).append(operator)
    return dict(sorted(result.items(), key=lambda item: -len(item[1])))


def _listed(operators: "Sequence[Operator]") -> str:
    from bench import units
    from models.table import shape, table

    rows = [
        [
            number,
            operator.kind,
            operator.fused,
            shape(operator.output_shape),
            operator.dtype,
            units.size(operator.output_bytes),
            units.size(operator.weight_bytes) if operator.weight_bytes else "",
        ]
        for number, operator in enumerate(operators)
    ]
    headings = ["", "operator", "fused", "output", "type", "output", "weights"]
    return table(headings, rows, left={1, 2, 3, 4})
