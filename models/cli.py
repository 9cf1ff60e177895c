"""``edgeworthy models``: list, show and train the networks."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from models.cli_train import train

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from models.family import Spec
    from models.layer import Analysis


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, show and train the networks."""


@command.command("list")
@click.argument("patterns", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_(patterns: tuple[str, ...], as_json: bool) -> None:
    """List the networks, or those that match PATTERNS, such as 'mobilenet*'."""
    from models.registry import expand, resolve

    wanted = [part for pattern in patterns or ("all",) for part in pattern.split(",") if part]
    rows = [_summary(resolve(name)) for name in expand(wanted)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    _table(
        ["model", "input", "classes", "paper", "year", "top-1 published", "top-1 of its weights"],
        [
            [
                row["name"],
                "x".join(map(str, row["input"])),
                row["classes"],
                row["paper"],
                row["year"],
                _per_cent(row["published"] and row["published"]["top1"]),
                f"{_per_cent(row['top1'])} {row['dataset']}" if row["top1"] else "",
            ]
            for row in rows
        ],
        numbers={2, 4, 5},
    )


def _summary(spec: "Spec") -> dict[str, Any]:
    from models.metadata import Metadata, read_metadata

    words = read_metadata(spec.weights) if spec.weights else Metadata()
    return {
        "name": spec.name,
        "family": spec.family,
        "settings": dict(spec.settings),
        "input": [spec.channels, *spec.size],
        "classes": spec.classes,
        "paper": spec.title,
        "year": spec.year,
        "published": asdict(spec.published) if spec.published else None,
        "dataset": words.dataset,
        "top1": words.top1 and 100 * words.top1,
    }


def _per_cent(value: float | None) -> str:
    return f"{value:.2f} %" if value is not None else ""


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def show(name: str, as_json: bool) -> None:
    """Show the layers of NAME: shapes, parameters, MACs and memory, for one image in float32."""
    from models.registry import resolve

    spec = resolve(name)
    analysis = _analysis(spec)
    if as_json:
        click.echo(json.dumps({**_summary(spec), **asdict(analysis)}, indent=2))
        return
    _table(
        ["layer", "kind", "output", "parameters", "share", "MACs", "share", "activations, bytes"],
        [
            [
                layer.name,
                layer.kind,
                "x".join(map(str, layer.output_shape[1:])),
                f"{layer.parameters:,}",
                _share(layer.parameters, analysis.parameters),
                f"{layer.macs:,}",
                _share(layer.macs, analysis.macs),
                f"{layer.activation_bytes:,}" if layer.activation_bytes else "in place",
            ]
            for layer in analysis.layers
        ],
        numbers={3, 4, 5, 6, 7},
    )
    for label, value in _totals(analysis):
        click.echo(f"{label:<32}{value:>16}")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if part else ""


def _totals(analysis: "Analysis") -> list[tuple[str, str]]:
    return [
        ("parameters", f"{analysis.parameters:,}"),
        ("weights, bytes", f"{4 * analysis.parameters:,}"),
        ("MACs", f"{analysis.macs:,}"),
        ("all activations, bytes", f"{analysis.total_activation_bytes:,}"),
        ("most activations at once, bytes", f"{analysis.peak_activation_bytes:,}"),
    ]


def _analysis(spec: "Spec") -> "Analysis":
    """Analyse a network without a single weight: its tensors have shapes only."""
    import torch

    from models.analysis import analyse
    from models.checkpoint import create

    with torch.device("meta"):
        module = create(spec).eval()
    image = torch.empty(1, spec.channels, *spec.size, device="meta")
    program: ExportedProgram = torch.export.export(module, (image,))
    return analyse(program)


def _table(headings: list[str], rows: Sequence[Sequence[object]], numbers: set[int]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="right" if position in numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    # A pipe has no width to fit: nothing may be cut off.
    Console(width=None if sys.stdout.isatty() else 250, highlight=False).print(table)


command.add_command(train)
