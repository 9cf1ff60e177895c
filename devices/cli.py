"""``edgeworthy devices``: what there is to measure on, whether it works, and how to add one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from devices.device import ConfigError, Device, DeviceError, Job, Session, WorkerError

if TYPE_CHECKING:
    from devices.registry import Entry

FORMATS = ("tflite", "onnx", "coreml", "torch")
COLUMNS = ("name", "kind", "state", "processor", "cores", "memory", "runtimes")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, check and add the devices to measure on."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_devices(as_json: bool) -> None:
    """List the devices: this machine, and those of devices.toml."""
    from devices.registry import entries

    rows = [_row(entry) for entry in entries().values()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print_table(rows)


def _row(entry: "Entry") -> dict[str, Any]:
    device = entry.device
    row: dict[str, Any] = {"name": device.name, "kind": device.kind, "labels": list(entry.labels)}
    try:
        info = device.info()
    except DeviceError as error:
        unknown = dict.fromkeys(("processor", "cores", "memory", "fingerprint"))
        return {**row, "state": f"unavailable: {error}", **unknown, "runtimes": [], "facts": {}}
    return {
        **row,
        "state": "ready",
        "processor": info.facts.get("processor"),
        "cores": _cores(info.facts),
        "memory": info.facts.get("memory"),
        "runtimes": [name for kind in FORMATS for name in device.runtimes(kind)],
        "facts": info.facts,
        "fingerprint": info.fingerprint,
    }


def _cores(facts: dict[str, str]) -> str:
    cpus = facts.get("cpus", "all")
    count = facts.get("logical_cores", "?")
    return count if cpus == "all" else f"{cpus} of {count}"


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS, box=None)
    for row in rows:
        cells = {**row, "runtimes": ", ".join(row["runtimes"]) or "none"}
        table.add_row(*(str(cells[column] or "-") for column in COLUMNS))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    console.print(table)


class Step(NamedTuple):
    """One step of a check: `ok` None where it could not be made."""

    ok: bool | None
    what: str
    detail: str


@command.command()
@click.argument("name")
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path),
    default=Path("artifacts"),
    show_default=True,
    help="Where there are artifacts to try each runtime with.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(name: str, artifacts: Path, as_json: bool) -> None:
    """Check that the device NAME can measure: its worker starts, its runtimes load and run.

    Exits 3 if it cannot.
    """
    from devices.registry import find

    steps = []
    for step in _steps(find(name), artifacts):
        steps.append(step)
        if not as_json:
            mark = {True: "✓", False: "✗", None: "-"}[step.ok]
            click.echo(f"{mark} {step.what}: {step.detail}")
    if as_json:
        click.echo(json.dumps([step._asdict() for step in steps], indent=2))
    if any(step.ok is False for step in steps):
        raise DeviceError(f"device '{name}' cannot be used as it is; see the steps above")


def _steps(device: Device, artifacts: Path) -> Iterator[Step]:
    try:
        info = device.info()
    except DeviceError as error:
        yield Step(False, "device", str(error))
        return
    yield Step(True, "device", f"{info.facts.get('processor', info.kind)} ({info.fingerprint})")
    runtimes = [(runtime, kind) for kind in FORMATS for runtime in device.runtimes(kind)]
    if not runtimes:
        remedy = "install them with: pip install 'edgeworthy[bench]'"
        needs = "what each needs is below" if hasattr(device, "missing") else remedy
        yield Step(False, "runtimes", f"none installed; {needs}")
    for runtime, kind in runtimes:
        step = _probe(device, runtime)
        yield step
        if step.ok:
            yield _try(device, runtime, kind, artifacts)
    for runtime, reason in getattr(device, "missing", tuple)():
        yield Step(None, runtime, reason)


def _probe(device: Device, runtime: str) -> Step:
    try:
        return Step(True, runtime, f"the worker starts and loads {device.probe(runtime)}")
    except WorkerError as error:
        return Step(False, runtime, str(error))


def _try(device: Device, runtime: str, format: str, artifacts: Path) -> Step:
    """Load and run the smallest artifact of `format` there is."""
    from export.artifact import ArtifactError, find, read_manifest

    what = f"{runtime} runs {format}"
    try:
        found = [(read_manifest(path), path) for path in find(artifacts, f"*/{format}-*")]
    except ArtifactError as error:
        return Step(None, what, f"not tried: {error}")
    if not found:
        remedy = f"edgeworthy export --model lenet5 --format {format}"
        return Step(None, what, f"not tried, there is no such artifact in {artifacts}: {remedy}")
    manifest, path = min(found, key=lambda pair: pair[0].size_bytes)
    batch = manifest.contract.inputs[0].shape[0]
    try:
        session = device.open(Job(artifact=path, runtime=runtime, batch=batch))
        try:
            took = _once(session)
        finally:
            session.close()
    except WorkerError as error:
        return Step(False, what, f"{manifest.key}: {error}")
    return Step(True, what, f"{manifest.key}, {took}")


def _once(session: Session) -> str:
    """Run once and say how long that took; a reference has no time of its own."""
    if session.ready.reference:
        session.verify()
        return "to prove it; never timed"
    return f"{session.measure(1)[0] / 1e6:.3g} ms the first time"


@command.command()
@click.argument("name")
@click.option("--kind", default="local", show_default=True, help="What kind of device it is.")
@click.option("--cpus", metavar="LIST", help="The cores to run on, as 0-1 or 0,2.")
@click.option("--python", metavar="PATH", help="Another environment's interpreter to measure with.")
@click.option("--label", "labels", multiple=True, help="A label that also finds it; repeatable.")
def add(
    name: str, kind: str, cpus: str | None, python: str | None, labels: tuple[str, ...]
) -> None:
    """Add the device NAME to devices.toml in this directory."""
    from devices import registry

    path = Path(registry.FILE)
    table = {"kind": kind, "cpus": _cpus(cpus), "python": python, "labels": list(labels)}
    registry.add(name, table, path)
    click.echo(f"added '{name}' to {path}; try it with: edgeworthy devices check {name}", err=True)


def _cpus(text: str | None) -> list[int]:
    """Return the core numbers of a list like ``0-1,4``."""
    cpus: set[int] = set()
    for part in text.split(",") if text else ():
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        cores = range(int(found[1]), int(found[2] or found[1]) + 1) if found else range(0)
        if not cores:
            raise ConfigError(f"--cpus {text}: expected core numbers, as 0-1 or 0,2")
        cpus.update(cores)
    return sorted(cpus)
