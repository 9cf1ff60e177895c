"""``bench calibrate``: the command line of a device's noise."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import options

if TYPE_CHECKING:
    from bench.matrix import Cell
    from bench.noise import NoiseProfile

EXIT_CODES = """\b
Exit codes:
  0    the profile was written
  2    wrong usage or input
  3    the device is unavailable or too busy, or cannot run the artifact
  130  interrupted: nothing was written
"""


@click.command("calibrate", epilog=EXIT_CODES)
@click.option(
    "--artifact",
    "patterns",
    multiple=True,
    metavar="GLOB",
    help="The artifact to measure against itself: a quick one gives more comparisons.",
)
@options.artifacts_dir
@options.device
@options.wait
@options.runtime
@options.threads
@options.processes(
    "Fresh processes of each measurement, as of 'bench run': the profile is for such records."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="How long to go on; at least until 11 good runs are made.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the profile as JSON.")
def calibrate_command(
    *,
    patterns: tuple[str, ...],
    root: Path,
    device: str,
    wait_s: float,
    runtime: str | None,
    threads: int,
    processes: int,
    minutes: float,
    as_json: bool,
) -> None:
    """Find a device's noise, by measuring one artifact against itself.

    'bench check' then takes no growth of latency for a regression that is within that noise.
    """
    from bench import exact, noise
    from bench.calibrate import calibrate
    from bench.cli_run import enough
    from bench.matrix import Choice, Effort, describe, plan, select
    from devices.registry import find

    choice = Choice(threads=(threads,), runtime=runtime)
    chosen = select(root, patterns)
    effort = Effort(processes=enough(processes))
    where = find(device)
    with options.held(where, wait_s):
        targets = describe([where])
        exact.refuse(targets, "noise, as it has none and needs no calibration")
        cell = _only(plan(chosen, targets, choice, effort))
        found = calibrate(cell, 60 * minutes, _tell, partial(click.echo, err=True))
    place = noise.write(found)
    _print(found, as_json)
    click.echo(f"wrote {place}; 'bench check' holds growth of latency against it", err=True)


def _only(cells: "Sequence[Cell]") -> "Cell":
    from bench.record import BenchError

    if len(cells) > 1:
        names = ", ".join(cell.artifact.manifest.key for cell in cells[:5])
        more = f" and {len(cells) - 5} more" if len(cells) > 5 else ""
        raise BenchError(
            f"{len(cells)} artifacts fit, one is measured against itself; name it with "
            f"--artifact, of {names}{more}"
        )
    return cells[0]


def _tell(runs: int, kept: int, left: float) -> None:
    if runs % 10 == 0:
        click.echo(f"{runs} runs done, {kept} of them good, {left:.0f} s left", err=True)


def _print(found: "NoiseProfile", as_json: bool) -> None:
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    from bench.report.noise import report
    from bench.report.terminal import console, show

    show(report(found), console())
