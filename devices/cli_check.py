"""``edgeworthy devices check``: every step from the device to a runtime that runs an artifact."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from devices.device import FORMATS, Device, DeviceError, Job, Session, Step, WorkerError


@click.command()
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

    A device that was set aside is back if it can. Exits 3 if it cannot, or is at work.
    """
    from devices import lock, quarantine, sending
    from devices.registry import find

    device = find(name)
    steps = []
    with sending.shown(sending.Stderr()), lock.held(device, 0.0, click.echo):
        for step in _steps(device, artifacts):
            steps.append(step)
            if not as_json:
                mark = {True: "✓", False: "✗", None: "-"}[step.ok]
                click.echo(f"{mark} {step.what}: {step.detail}")
    if as_json:
        click.echo(json.dumps([step._asdict() for step in steps], indent=2))
    if any(step.ok is False for step in steps):
        raise DeviceError(f"device '{name}' cannot be used as it is; see the steps above")
    if quarantine.lift(device):
        click.echo(f"device '{name}' is no longer set aside", err=True)


def _steps(device: Device, artifacts: Path) -> Iterator[Step]:
    """Go through what the kind tries first, then the worker, then every runtime."""
    from devices.registry import KINDS

    own = KINDS[device.kind].steps if device.kind in KINDS else None
    try:
        for step in own(device) if own else ():
            yield step
            if step.ok is False:
                return
        yield from _worker_steps(device, artifacts)
    except DeviceError as error:
        yield Step(False, "device", str(error))


def _worker_steps(device: Device, artifacts: Path) -> Iterator[Step]:
    info = device.info()
    yield Step(True, "device", f"{info.facts.get('processor', info.kind)} ({info.fingerprint})")
    runtimes = [(runtime, kind) for kind in FORMATS for runtime in device.runtimes(kind)]
    if not runtimes:
        remedy = "install them with: pip install 'edgeworthy[bench]'"
        needs = "what each needs is below" if hasattr(device, "missing") else remedy
        yield Step(False, "runtimes", f"none installed; {needs}")
    for runtime in dict(runtimes):
        step = _probe(device, runtime)
        yield step
        if step.ok:
            kinds = [kind for name, kind in runtimes if name == runtime]
            yield from (_try(device, runtime, kind, artifacts) for kind in kinds)
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
            took = _once(session, device.info().counts)
        finally:
            session.close()
    except WorkerError as error:
        ok = None if error.cause == "missing-model" else False
        return Step(ok, what, f"{manifest.key}: {error}")
    return Step(True, what, f"{manifest.key}, {took}")


def _once(session: Session, counts: str | None) -> str:
    """Run once and say how long that took; a reference has no time of its own."""
    if session.ready.reference:
        session.verify()
        return "to prove it; never timed"
    (first,) = session.measure(1)
    return f"{first:,} {counts}" if counts else f"{first / 1e6:.3g} ms the first time"
