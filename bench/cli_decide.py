"""``bench decide``: the command line of two artifacts side by side."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import options

if TYPE_CHECKING:
    from bench.duel import Duel
    from bench.matrix import Cell, Effort
    from devices.device import Device

EXIT_CODES = """\b
Exit codes:
  0    NOW is not slower than BEFORE by more than --max-slowdown
  1    it is, or an answer was wrong
  2    wrong usage or input
  3    not decided in --max-seconds, or the device or a worker failed
  130  interrupted
"""


@click.command("decide", epilog=EXIT_CODES)
@click.argument("before")
@click.argument("now")
@options.artifacts_dir
@options.device
@options.wait
@options.runtime
@options.threads
@click.option(
    "--max-slowdown",
    "limit",
    default="3%",
    show_default=True,
    metavar="SHARE",
    help="How much longer NOW may take; no less than the device's noise, where that is known.",
)
@options.max_seconds(60.0, "Give up after this many seconds of samples of either.")
@options.processes(
    "Fresh processes of each: at least so many, or just 1, which sees no further than that."
)
@options.seed
@options.records_out("File that both records are appended to, that of NOW last.")
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON.")
def decide_command(
    *,
    before: str,
    now: str,
    root: Path,
    device: str,
    wait_s: float,
    runtime: str | None,
    threads: int,
    limit: str,
    max_seconds: float,
    processes: int,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Measure BEFORE and NOW side by side until it is clear whether NOW is slower.

    Each is an artifact: a directory, MODEL/VARIANT, or a bare .onnx or .tflite file. A clear
    slowdown and a clear pass end it early: after every lap of fresh processes the interval is one
    that may be looked at as often as one likes, and is wrong in 1 % of runs.
    """
    from bench.cli_run import enough
    from bench.duel import fight
    from bench.matrix import Effort
    from bench.progress import Follower
    from bench.record_file import check_writable
    from devices.registry import find

    effort = Effort(
        max_seconds=max_seconds,
        seed=seed,
        processes=enough(processes),
        max_slowdown=options.share("--max-slowdown", limit),
    )
    try:
        where = find(device)
        with (
            options.held(where, wait_s),
            _cells(
                (before, now), root, device=where, runtime=runtime, threads=threads, effort=effort
            ) as cells,
        ):
            check_writable(out)
            with Follower(out, len(cells)) as follower:
                found = fight(*cells, follower)
    except KeyboardInterrupt:
        click.echo("interrupted: nothing was decided", err=True)
        sys.exit(130)
    _print(found, max_seconds, as_json)
    sys.exit(found.exit_code)


@contextmanager
def _cells(
    names: tuple[str, str],
    root: Path,
    *,
    device: "Device",
    runtime: str | None,
    threads: int,
    effort: "Effort",
) -> "Iterator[tuple[Cell, Cell]]":
    """Find both, and allow no less than the device's noise."""
    from bench.cli_adopt import adopted
    from bench.duel import floor
    from bench.matrix import Choice, describe, plan, select

    choice = Choice(threads=(threads,), runtime=runtime)
    targets = describe([device])
    with adopted(names) as found:
        sides = [plan(select(root, [name]), targets, choice, effort) for name in found]
        before, now = (_only(cells, name) for cells, name in zip(sides, names, strict=True))
        _check_batch(before, now)
        least = max(effort.max_slowdown or 0.0, floor(now) or 0.0)
        wider = replace(effort, max_slowdown=least)
        yield replace(before, effort=wider), replace(now, effort=wider)


def _only(cells: "list[Cell]", name: str) -> "Cell":
    from bench.record import BenchError

    if len(cells) > 1:
        there = ", ".join(cell.artifact.manifest.key for cell in cells[:5])
        more = f" and {len(cells) - 5} more" if len(cells) > 5 else ""
        raise BenchError(f"'{name}' fits {len(cells)} artifacts, one is decided on: {there}{more}")
    return cells[0]


def _check_batch(before: "Cell", now: "Cell") -> None:
    from bench.record import BenchError

    if before.batch != now.batch:
        raise BenchError(
            f"{before.name} and {now.name} do not do the same work; export both for one batch"
        )


def _print(found: "Duel", max_seconds: float, as_json: bool) -> None:
    from bench.report.duel import lines

    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        click.echo("\n".join(lines(found, max_seconds)))
