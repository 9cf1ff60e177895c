"""``edgeworthy devices``: what there is to measure on, whether it works, and how to add one."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devices.cli_check import check
from devices.cli_serve import serve

if TYPE_CHECKING:
    from devices.survey import Seen

COLUMNS = ("name", "kind", "state", "processor", "cores", "memory", "runtimes")
UNKNOWN = ("processor", "cores", "memory", "fingerprint")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, check, add and remove the devices to measure on."""


command.add_command(check)
command.add_command(serve)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_devices(as_json: bool) -> None:
    """List the devices: this machine, those of devices.toml, and those that are found.

    A device is ready, busy (another job has it), unauthorised, offline, quarantined (it failed
    again and again) or unavailable; why is below the table. Who takes more than 5 s to answer is
    offline.
    """
    from devices.registry import all_devices

    rows = [_row(seen) for seen in all_devices()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print_table(rows)


def _row(seen: "Seen") -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": seen.name,
        "kind": seen.kind,
        "labels": list(seen.labels),
        "state": seen.state,
        "reason": seen.reason,
        "runtimes": list(seen.runtimes),
    }
    if seen.info is None:
        return {**row, **dict.fromkeys(UNKNOWN), "emulated": None, "facts": {}}
    facts = seen.info.facts
    return {
        **row,
        "processor": facts.get("processor"),
        "cores": _cores(facts),
        "memory": facts.get("memory"),
        "emulated": seen.info.emulated,
        "facts": facts,
        "fingerprint": seen.info.fingerprint,
    }


def _cores(facts: dict[str, str]) -> str:
    cpus = facts.get("cpus", "all")
    count = facts.get("logical_cores", "?")
    return count if cpus == "all" else f"{cpus} of {count}"


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(*(Column(name, overflow="fold") for name in COLUMNS), box=None)
    for row in rows:
        cells = {**row, "runtimes": ", ".join(row["runtimes"])}
        table.add_row(*(str(cells[column] or "-") for column in COLUMNS))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    console.print(table)
    for row in rows:
        if row["reason"]:
            click.echo(f"{row['name']}: {row['state']}: {row['reason']}")


@command.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[NAME] [--KEY VALUE]...")
@click.option("--kind", default="local", show_default=True, help="What kind of device it is.")
@click.option("--label", "labels", multiple=True, help="A label that also finds it; repeatable.")
def add(words: tuple[str, ...], kind: str, labels: tuple[str, ...]) -> None:
    """Add the device NAME (default: its kind) to devices.toml in this directory.

    Every key of its kind is an option, as --cpus 0-1 of kind local: see docs/devices.md.
    """
    from devices import editing, registry

    named = bool(words) and not words[0].startswith("-")
    name, typed = (words[0], words[1:]) if named else (kind, words)
    keys, path = editing.options(typed, kind), Path(registry.FILE)
    editing.check_free(name, path)
    if prepare := registry.kind(kind, "--kind").prepare:
        prepare(editing.settings(keys, kind), partial(click.echo, err=True))
    editing.add(name, {"kind": kind, **keys, "labels": list(labels)}, path)
    click.echo(f"added '{name}' to {path}; try it with: edgeworthy devices check {name}", err=True)


@command.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove the device NAME from devices.toml: this directory's, or else the user's."""
    from devices import editing

    click.echo(f"removed '{name}' from {editing.remove(name)}", err=True)


@command.command()
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it there.")
@click.option(
    "--from", "source", type=click.Path(path_type=Path), metavar="FILE", help="Keep the one there."
)
def bundle(out: Path | None, source: Path | None) -> None:
    """Make the bundle of Python and runtimes that phones and arm64-exact run, or bring it here.

    It is made on Debian 12; other machines take it --from a file that was written there by --out.
    """
    from devices import bundle as bundles

    tell = partial(click.echo, err=True)
    found = bundles.load(source) if source else bundles.make(tell)
    if out:
        bundles.save(found, out)
        tell(f"wrote {out}; elsewhere type: edgeworthy devices bundle --from {out}")
    for part in found.contents.parts:
        click.echo(f"{part.name} {part.version}")
