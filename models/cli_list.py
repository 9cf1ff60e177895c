"""``edgeworthy models list``: the networks with their size, accuracy and paper."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from math import inf
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from models.family import Spec

SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
SORTS = {"name": "name", "params": "parameters", "macs": "macs", "top1": "top1", "year": "year"}
HEADINGS = ["model", "params", "MACs", "top-1", "for", "input", "paper", ""]
TRAINED_HEADINGS = ["with its weights", "params", "MACs", "top-1", "for", "input", "measured on"]


def _count(_: click.Context, __: click.Parameter, text: str | None) -> float:
    """Read a count such as 5M, 1.5G or 300k; no limit where none is given."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)", (text or "").strip(), re.IGNORECASE)
    if text is None:
        return inf
    if found is None:
        raise click.BadParameter(f"'{text}' is not a count; write it like 5M, 1.5G or 300k")
    return float(found[1]) * SUFFIXES[found[2].lower()]


@click.command("list")
@click.argument("patterns", nargs=-1)
@click.option("--max-params", callback=_count, metavar="5M", help="At most so many parameters.")
@click.option("--max-macs", callback=_count, metavar="1G", help="At most so many MACs an image.")
@click.option("--for", "meant_for", type=click.Choice(["edge", "cloud"]), help="By size.")
@click.option("--sort", type=click.Choice(list(SORTS)), help="Default: by family, as published.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_(
    *,
    patterns: tuple[str, ...],
    max_params: float,
    max_macs: float,
    meant_for: str | None,
    sort: str | None,
    as_json: bool,
) -> None:
    """List the networks, or those that match PATTERNS, such as 'mobilenet*'."""
    rows = [
        row
        for row in map(_row, _specs(patterns))
        if row["parameters"] <= max_params
        and row["macs"] <= max_macs
        and meant_for in {None, row["for"]}
    ]
    if sort:
        rows.sort(key=lambda row: (row[SORTS[sort]] is None, row[SORTS[sort]]))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        _print(rows)
    else:
        click.echo("no network is within these limits", err=True)


def _specs(patterns: Sequence[str]) -> "list[Spec]":
    from models.catalogue import is_kept
    from models.registry import expand, resolve

    wanted = [part for pattern in patterns or ("all",) for part in pattern.split(",") if part]
    specs = [resolve(name) for name in expand(wanted)]
    if new := [spec.name for spec in specs if not is_kept(spec.name)]:
        click.echo(f"counting {len(new)} not in the catalogue: {', '.join(new[:3])} ...", err=True)
    return specs


def _row(spec: "Spec") -> dict[str, Any]:
    from models.catalogue import size_of
    from models.metadata import Metadata, read_metadata

    words = read_metadata(spec.weights) if spec.weights else Metadata()
    size = size_of(spec)
    return {
        "name": spec.name,
        "family": spec.family,
        "settings": dict(spec.settings),
        "input": [spec.channels, *spec.size],
        "classes": spec.classes,
        "parameters": size.parameters,
        "macs": size.macs,
        "peak_activation_bytes": size.peak_activation_bytes,
        "for": size.meant_for,
        "paper": spec.title,
        "reference": spec.reference,
        "year": spec.year,
        "published": asdict(spec.published) if spec.published else None,
        "dataset": words.dataset,
        "top1": 100 * words.top1 if words.top1 else spec.published and spec.published.top1,
    }


def _print(rows: Sequence[dict[str, Any]]) -> None:
    from models.catalogue import EDGE_MACS, EDGE_PARAMETERS
    from models.table import table

    ours = [row for row in rows if row["dataset"]]
    papers = [row for row in rows if not row["dataset"]]
    left = {0, 4, 5, 6}
    if papers:
        body = [[*_cells(row), row["reference"] or row["family"], row["year"]] for row in papers]
        click.echo(table(HEADINGS, body, left))
    if papers and ours:
        click.echo()
    if ours:
        body = [[*_cells(row), row["dataset"]] for row in ours]
        click.echo(table(TRAINED_HEADINGS, body, left))
    legend = (
        f"\nFor the edge: at most {EDGE_PARAMETERS // 10**6} M parameters and "
        f"{EDGE_MACS // 10**9} GMACs. Top-1 is as published, or measured\n"
        "here on test images that the weights had not seen, where it says so."
    )
    others = sorted({row["published"]["dataset"] for row in papers if _star(row)})
    stars = f"\n* on {', '.join(others)}, the others on ImageNet." if others else ""
    click.echo(click.style(legend + stars, dim=True))


def _star(row: dict[str, Any]) -> str:
    published = row["published"]
    return " *" if published and not row["dataset"] and published["dataset"] != "ImageNet" else ""


def _cells(row: dict[str, Any]) -> list[str]:
    from bench import units
    from models.table import shape

    return [
        row["name"],
        units.count(row["parameters"]),
        units.count(row["macs"]),
        f"{row['top1']:.2f} %{_star(row)}" if row["top1"] is not None else "",
        row["for"],
        shape(row["input"]),
    ]
