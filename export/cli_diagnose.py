"""``edgeworthy export diagnose``: which layer of an artifact broke, and why."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from export.artifact import Manifest
    from export.diagnosis_report import Report

SHOWN = 10
PICTURES = (".svg", ".png")


@click.command("diagnose")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--model",
    metavar="NAME",
    help="The float network, where it is not of the zoo: FILE.py:FACTORY or FILE.pt2.",
)
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="Its weights.")
@click.option(
    "--data",
    metavar="NAME|DIR",
    help="Images to compare on: fashion-mnist, or a folder by class. Without: golden inputs.",
)
@click.option(
    "--images", type=click.IntRange(1), default=32, show_default=True, help="How many of --data."
)
@click.option("--all", "every", is_flag=True, help=f"List all layers, not the worst {SHOWN}.")
@click.option(
    "--chart",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the layers' signal-to-noise as a line chart: .svg or .png.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diagnose(artifact: Path, **options: Any) -> None:
    """Tell which layer of ARTIFACT (a directory) broke, and why.

    Signal-to-noise ratios in dB, against the float network; 6 dB are one bit. "own" is the error
    of the layer alone: what the file computes against what the float layer gives for the file's
    own values. "at output" is what that error alone does to the network's output: the worst by
    that comes first. "so far" has all the noise that the layer inherits. A layer without a partner
    in the file is "not aligned".

    Exit status: 0 told; 2 wrong usage or input.
    """
    chart: Path | None = options["chart"]
    if chart is not None and chart.suffix not in PICTURES:
        raise click.UsageError(f"--chart {chart}: a picture ends in {' or '.join(PICTURES)}")
    from export import diagnosis_report

    report = _report(artifact, options)
    if chart is not None:
        _draw(report, chart)
    if options["as_json"]:
        click.echo(json.dumps(diagnosis_report.as_data(report), indent=2))
    else:
        click.echo(diagnosis_report.as_text(report, None if options["every"] else SHOWN))


def _report(directory: Path, options: dict[str, Any]) -> "Report":
    import torch

    from export import artifact, diagnosis_report, original, trace
    from export.diagnose import Diagnoser
    from export.precision import ExportError
    from export.reference import Reference

    manifest = artifact.load(_existing(directory))
    if manifest.format == "torch":
        raise ExportError(f"{directory} is the float network itself; diagnose a file made from it")
    torch.set_num_threads(1)
    rows, inputs = _inputs(directory, manifest, options["data"], options["images"])
    traced = trace.load(directory, manifest)
    found = original.find(directory, manifest, options["model"], options["weights"])
    batch = manifest.contract.inputs[0].shape[0]
    diagnosis = Diagnoser(Reference(found.program), traced, batch).run(rows, _progress)
    return diagnosis_report.Report(manifest, diagnosis, found.origin, inputs)


def _existing(directory: Path) -> Path:
    """Return an artifact's directory; one whose proof failed lies beside its place.

    Raises:
        ArtifactError: only the one that failed is there.
    """
    from export.artifact import MANIFEST, ArtifactError, failed

    aside = failed(directory)
    if not directory.exists() and (aside / MANIFEST).is_file():
        raise ArtifactError(f"{directory} was not made: its proof failed; diagnose {aside}")
    return directory


def _inputs(
    directory: Path, manifest: "Manifest", data: str | None, count: int
) -> tuple[Sequence[Any], str]:
    """Return the inputs in torch's layout, and what they are."""
    from export import calibration, verify
    from export.original import relaid
    from export.precision import ExportError

    contract = manifest.contract
    if data is not None:
        if contract.preprocessing is None or len(contract.inputs) != 1:
            raise ExportError("--data is for a network with one image input; leave it out")
        images, _, name = calibration.images(data, contract.preprocessing, count, 0, "test")
        return [images], f"images of {name}"
    given, _ = verify.golden(directory, manifest)
    rows = verify.comparable_rows(manifest)
    kinds = dict.fromkeys(manifest.golden[row].kind for row in rows)
    return [relaid(given[t.name][rows], t) for t in contract.inputs], f"golden {', '.join(kinds)}"


def _progress(done: int, count: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\rcomparing input {done} of {count}", err=True, nl=done == count)


def _draw(report: "Report", path: Path) -> None:
    from export import diagnosis_chart
    from models.whole_file import whole_file

    subtitle = f"against {report.origin}, {report.diagnosis.inputs} inputs; 6 dB are one bit"
    chart = diagnosis_chart.draw(report.diagnosis, report.manifest.key, subtitle)
    with whole_file(path) as scratch:
        scratch.write_bytes(diagnosis_chart.encode(chart, path.suffix))
    click.echo(f"drawn: {path}", err=True)
