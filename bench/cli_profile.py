"""``bench profile``: the command line of a profile by operator."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from bench import options

if TYPE_CHECKING:
    from bench.matrix import Artifact, Cell
    from bench.profile import Profile
    from bench.profiling import Work
    from bench.stored_profile import StoredProfile
    from devices.device import Device, OperatorTimes

PICTURES = (".svg", ".png")
WIDTH = 80
EXIT_CODES = """\b
Exit codes:
  0    profiled
  1    the answer was wrong: its times mean nothing
  2    wrong usage or input
  3    the runtime offers no profile by operator, or the device is unavailable
  130  interrupted
"""


@click.command("profile", epilog=EXIT_CODES)
@click.argument("artifact")
@options.artifacts_dir
@options.device
@options.wait
@options.runtime
@options.threads
@click.option("--all", "every", is_flag=True, help="List all operators, in the order they run.")
@click.option(
    "--chart",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the roofline: .svg or .png.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write all runs as a trace that Perfetto (ui.perfetto.dev) opens.",
)
@click.option(
    "--out",
    default=Path("results/profiles.jsonl"),
    type=click.Path(path_type=Path, dir_okay=False),
    show_default=True,
    help="File that the profile is appended to, for 'bench report'.",
)
@click.option("--json", "form", flag_value="json", help="Print JSON, of all operators.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV, a line an operator.")
def profile_command(
    artifact: str,
    *,
    root: Path,
    device: str,
    wait_s: float,
    runtime: str | None,
    threads: int,
    every: bool,
    chart: Path | None,
    trace: Path | None,
    out: Path,
    form: str | None,
) -> None:
    """Tell where ARTIFACT's time goes: a directory, MODEL/VARIANT, or a bare .onnx file.

    Each operator of the runtime with its layer, its share of the time, what it achieved (2
    operations a MAC), and whether memory or computing bounds it on this machine: the roofline.
    ONNX Runtime and torch offer such a profile. 'bench report --html' draws those that are kept.
    """
    from bench.profiling import profile
    from bench.record_file import append, check_writable
    from devices.registry import find

    if chart is not None:
        _check_picture(chart)
    where = find(device)
    with options.held(where, wait_s), _cell(artifact, root, where, runtime, threads) as cell:
        check_writable(out)
        kept = profile(cell, _work)
    append(out, kept)
    click.echo(f"kept in {out}: 'bench report --html' draws it", err=True)
    if chart is not None:
        _draw(kept, chart)
    if trace is not None:
        _write_trace(kept.profile, trace)
    _print(kept.profile, form, every=every)


def _check_picture(path: Path) -> None:
    from importlib.util import find_spec

    from bench.record import BenchError

    if path.suffix not in PICTURES:
        raise click.UsageError(f"--chart {path}: a picture ends in {' or '.join(PICTURES)}")
    if not (find_spec("altair") and find_spec("vl_convert")):
        raise BenchError("--chart needs altair and vl-convert: pip install 'edgeworthy[report]'")


@contextmanager
def _cell(
    name: str, root: Path, device: "Device", runtime: str | None, threads: int
) -> "Iterator[Cell]":
    """Find the artifact and the device; a bare model file becomes an artifact for the occasion."""
    from bench.matrix import Choice, Effort, describe, plan, select
    from devices import scratch
    from export.bare import adopt, is_bare

    choice = Choice(threads=(threads,), runtime=runtime)
    with scratch.directory() as work:
        pattern = str(adopt(Path(name), work / "adopted")) if is_bare(name) else name
        chosen = select(root, [pattern])
        yield _only(plan(chosen, describe([device]), choice, Effort()))


def _only(cells: "Sequence[Cell]") -> "Cell":
    from bench.record import BenchError

    if len(cells) > 1:
        names = ", ".join(cell.artifact.manifest.key for cell in cells[:5])
        more = f" and {len(cells) - 5} more" if len(cells) > 5 else ""
        raise BenchError(f"{len(cells)} artifacts fit; profile one of {names}{more}")
    return cells[0]


def _work(artifact: "Artifact", operators: "Sequence[OperatorTimes]") -> "Sequence[Work]":
    from export.attribution import attribute

    return attribute(artifact.path, artifact.manifest, operators)


def _draw(kept: "StoredProfile", path: Path) -> None:
    from bench.atomic import write
    from bench.report.charts_draw import picture
    from bench.report.charts_roofline import roofline

    write(path, picture(roofline(kept), path.suffix))
    click.echo(f"drawn: {path}", err=True)


def _write_trace(found: "Profile", path: Path) -> None:
    from bench.atomic import write
    from bench.profile import trace

    write(path, json.dumps(trace(found)).encode())
    click.echo(f"wrote {path}: open it at ui.perfetto.dev or chrome://tracing", err=True)


def _print(found: "Profile", form: str | None, *, every: bool) -> None:
    from bench.profile import as_data, rows

    if form == "json":
        click.echo(json.dumps(as_data(found), indent=2))
    elif form == "csv":
        from models.cli_show import as_csv_text

        click.echo(as_csv_text(rows(found)), nl=False)
    else:
        from bench.report.profile import text

        width = get_terminal_size().columns if sys.stdout.isatty() else WIDTH
        click.echo(text(found, width, every=every))
