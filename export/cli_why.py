"""``edgeworthy export inspect --why``: where a file's bytes are, and what grew."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from export.weighing import Change, Part

MOST_ROWS = 20
OF_LAYERS = ("weights", "biases", "quantization")


def show(path: Path, other: Path | None, *, as_json: bool) -> None:
    """Print where the bytes of a file or of an artifact are, and what differs from another's."""
    from export.inspected import model_file
    from export.weighing import changes, weigh

    files = [model_file(p) for p in (path, other) if p]
    weighed = [weigh(file) for file in files]
    changed = changes(*weighed) if other else []
    if as_json:
        _print_json(files, weighed, changed if other else None)
        return
    _print_kinds(files, weighed)
    if other:
        click.echo()
        _print_changes(changed)
    else:
        click.echo()
        _print_layers(weighed[0])


def _print_json(
    files: list[Path], weighed: "list[list[Part]]", changed: "list[Change] | None"
) -> None:
    import msgspec

    found: dict[str, Any] = {
        "path": str(files[0]),
        "bytes": sum(part.bytes for part in weighed[0]),
        "parts": weighed[0],
    }
    if changed is not None:
        found |= {"against": str(files[1]), "changes": changed}
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))


def _print_kinds(files: list[Path], weighed: "list[list[Part]]") -> None:
    """Print the bytes of each kind; beside those of another file where there is one."""
    from export.weighing import KINDS
    from models.table import table

    sums: list[dict[str, int]] = [
        {k: sum(p.bytes for p in parts if p.kind == k) for k in KINDS} for parts in weighed
    ]
    totals = [sum(by_kind.values()) for by_kind in sums]
    rows: list[list[object]] = []
    for kind in [*(k for k in KINDS if any(s[k] for s in sums)), "file"]:
        sizes = [s.get(kind, total) for s, total in zip(sums, totals, strict=True)]
        row: list[object] = [kind, *(f"{size:,}" for size in sizes)]
        share = f"{100 * sizes[0] / max(1, totals[0]):.1f} %"
        rows.append([*row, f"{sizes[0] - sizes[1]:+,}" if len(sizes) > 1 else share])
    heading = ["bytes", "share"] if len(files) == 1 else ["bytes", "other's", "difference"]
    click.echo("\n".join(map(str, files)) + "\n")
    click.echo(table(["part", *heading], rows, {0}))


def _print_layers(parts: "list[Part]") -> None:
    from models.table import table

    layers: dict[str, dict[str, int]] = {}
    for part in parts:
        if part.layer and part.kind in OF_LAYERS:
            layers.setdefault(part.layer, {})[part.kind] = part.bytes
    order = sorted(layers, key=lambda layer: -sum(layers[layer].values()))
    rows = [
        [_short(layer), *(f"{layers[layer].get(kind, 0):,}" for kind in OF_LAYERS)]
        for layer in order[:MOST_ROWS]
    ]
    click.echo(table(["layer", *OF_LAYERS], rows, {0}))
    if len(order) > MOST_ROWS:
        click.echo(f"and {len(order) - MOST_ROWS} smaller layers; --json has all")


def _print_changes(changed: "list[Change]") -> None:
    from models.table import table

    if not changed:
        click.echo("no part differs in size")
        return
    rows = [
        [c.kind, _short(c.layer), f"{c.bytes:,}", f"{c.other:,}", f"{c.difference:+,}"]
        for c in changed[:MOST_ROWS]
    ]
    click.echo(table(["part", "layer", "bytes", "other's", "difference"], rows, {0, 1}))
    if len(changed) > MOST_ROWS:
        click.echo(f"and {len(changed) - MOST_ROWS} more; --json has all")


def _short(layer: str) -> str:
    return layer if len(layer) <= 32 else f"{layer[:15]}..{layer[-15:]}"
