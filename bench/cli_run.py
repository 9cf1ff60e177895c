"""``bench run``: the command line of a measurement."""

import math
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, NoReturn, Unpack

import click

from bench import cli_best, cli_load, cli_network, options
from bench.cli_adopt import adopted
from models.commas import joined

if TYPE_CHECKING:
    from rich.console import Console

    from bench.accuracy import AccuracyTest
    from bench.matrix import Cell
    from bench.record import Record, ScenarioName
    from devices.device import DeviceError

DEFAULT_IMAGES = 1000
# Below this the table's figures do not fit; it is also what a README shows without scrolling.
LEAST_WIDTH = 120
EXIT_CODES = """\b
Exit codes:
  0    all that the devices can run was measured, right and precisely enough
  1    an answer was wrong: that artifact's timing is void; --best: nothing meets the
       demands
  2    wrong usage or input
  3    a device is unavailable, a worker failed, or a figure is not valid: too short,
       noisy, drifting, contended, throttled, unproved or emulated; or nothing could
       be measured at all
  130  interrupted; go on with --resume

A file that has no runtime here, or is not made for the batch asked for, shows as unmeasured.
"""


@click.command("run", epilog=EXIT_CODES)
@click.option(
    "--artifact",
    "patterns",
    multiple=True,
    metavar="GLOB",
    help="Artifacts to measure: a model, a variant, MODEL/VARIANT, with wild cards, or a path, "
    "that of a bare .onnx or .tflite too (repeatable; default: all).",
)
@options.artifacts_dir
@click.option(
    "--device",
    "devices",
    multiple=True,
    default=("cpu",),
    show_default=True,
    metavar="NAME",
    help="Device to measure on, of 'edgeworthy devices list': its name, a label, its model or its "
    "serial; cloud:URL is a server. Several (repeatable) are measured side by side.",
)
@cli_network.option
@options.wait
@options.runtime_or_all
@click.option(
    "--threads",
    multiple=True,
    callback=joined,
    default=("1",),
    show_default=True,
    metavar="N,...",
    help="Numbers of threads. One thread is what differs least from run to run.",
)
@click.option(
    "--batch",
    multiple=True,
    callback=joined,
    metavar="N,...",
    help="Batch sizes (default: the one of each file).",
)
@click.option(
    "--data",
    metavar="DIR|fashion-mnist",
    help="Measure the accuracy too, on these test images.",
)
@click.option(
    "--images",
    type=click.IntRange(min=1),
    help=f"How many of them, drawn evenly over the classes (default: {DEFAULT_IMAGES}).",
)
@click.option(
    "--precision-target",
    "precision",
    default="2%",
    show_default=True,
    help="Stop when half the 95% interval of the median is within this share of it.",
)
@options.max_seconds(10.0, "Stop after this many seconds of samples of an artifact.")
@options.processes(
    "Fresh processes that share the rounds of each: at least so many, from 6 up, or just 1. "
    "Each shows what a cold start takes, too."
)
@click.option(
    "--sustained",
    metavar="TIME",
    help="Then run each back to back for so long, as 30s, 10m or 1h: burst and steady figures, and "
    "when it throttled.",
)
@cli_load.options
@options.seed
@click.option(
    "--beside",
    "predecessors",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Measure what DIR has of the same name in turns with each artifact: what was exported "
    "before a change. 'bench check' then judges growth between these two, on one machine at one "
    "time.",
)
@options.records_out("File that the records are appended to as they come.")
@click.option("--resume", is_flag=True, help="Skip what is recorded in --out already.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@cli_best.best_options
def run_command(
    *,
    patterns: tuple[str, ...],
    root: Path,
    devices: tuple[str, ...],
    network: str | None,
    wait_s: float,
    runtime: str | None,
    threads: str,
    batch: str | None,
    data: str | None,
    images: int | None,
    precision: str,
    max_seconds: float,
    processes: int,
    sustained: str | None,
    streams: str | None,
    scenario: "ScenarioName | None",
    scenario_seconds: float | None,
    scenario_queries: int | None,
    seed: int,
    predecessors: Path | None,
    out: Path,
    resume: bool,
    as_json: bool,
    **wish: Unpack[cli_best.Wish],
) -> None:
    """Measure artifacts: prove each on the device, warm it up, time it.

    Artifacts take turns in rounds, in fresh processes after every few, each until the median of its
    latency is known precisely enough.
    """
    from bench.matrix import (
        Choice,
        Effort,
        describe_those_there,
        plan,
        select,
        with_predecessors,
    )
    from bench.record_file import check_writable

    other = {"--resume": resume, "--sustained": sustained, "--beside": predecessors}
    if predecessors and (scenario or resume):
        raise click.UsageError(
            "--beside measures two artifacts in turns, anew; leave out "
            f"{'--scenario' if scenario else '--resume'}"
        )
    patterns = cli_best.patterns(
        wish, patterns, {**other, "--streams": streams, "--scenario": scenario}
    )
    if math.isnan(max_seconds):
        raise click.BadParameter("a number of seconds is expected", param_hint="--max-seconds")
    rule = cli_load.plan(scenario, scenario_seconds, scenario_queries)
    try:
        choice = Choice(
            threads=counts("--threads", threads),
            batches=counts("--batch", batch) if batch else (),
            runtime=None if runtime == "all" else runtime,
            every_runtime=runtime == "all",
            streams=counts("--streams", streams) if streams else (),
        )
        effort = Effort(
            precision_target=share(precision),
            max_seconds=max_seconds,
            seed=seed,
            processes=1 if rule else enough(processes),
            sustained_s=None if sustained is None else seconds(sustained),
            scenario=rule,
        )
        targets, absent = describe_those_there(
            cli_network.over(options.found(devices), network), partial(options.held, wait_s=wait_s)
        )
        for error in absent:
            click.echo(f"not measured: {error}", err=True)
        check_writable(out)
        with adopted(patterns) as found, _accuracy_test(data, images, seed) as accuracy:
            chosen = select(root, found)
            if wish["best"]:
                cells = cli_best.cells(chosen, targets, choice, effort)
                _tell_misfits(cells, accuracy)
                with options.held(targets[0].device, wait_s):
                    sys.exit(cli_best.run(cells, wish, accuracy, out, as_json))
            cells = plan(chosen, targets, choice, effort)
            if predecessors:
                cells = with_predecessors(cells, predecessors)
            records, refusals = _measure(cells, accuracy, out, wait_s, resume=resume)
        _print(records, as_json)
    except KeyboardInterrupt:
        click.echo(f"interrupted; {_kept(out, searching=wish['best'])}", err=True)
        sys.exit(130)
    _end(records, [*absent, *refusals])


def _end(records: "Sequence[Record]", missing: "Sequence[DeviceError]") -> NoReturn:
    """Say what was not measured, or does not hold, and exit."""
    from bench.run import exit_code, shortfall

    for error in missing:
        click.echo(f"error: not measured: {error}", err=True)
    if missed := shortfall(records):
        click.echo(missed, err=True)
    sys.exit(exit_code(records) or (3 if missing else 0))


def _kept(out: Path, *, searching: bool) -> str:
    if searching:
        return "a search begins again from its first rung"
    found = f"what was finished is in {out}: go on" if out.exists() else "start again, or go on"
    return f"{found} with --resume"


def counts(option: str, text: str) -> tuple[int, ...]:
    """Parse ``1,2,4`` into whole numbers from 1 up, each once.

    Raises:
        BenchError: something else is there.
    """
    from bench.record import BenchError

    numbers = [part.strip() for part in text.split(",")]
    wrong = next((n for n in numbers if not n.isdecimal() or int(n) < 1), None)
    if wrong is not None:
        raise BenchError(
            f"{option} {text}: '{wrong}' is not a whole number from 1 up; write it as {option} 1,2"
        )
    return tuple(dict.fromkeys(int(n) for n in numbers))


def enough(processes: int) -> int:
    """Return a number of processes if there is an interval of their median, or there is just one.

    Raises:
        BenchError: there is not.
    """
    from bench.record import BenchError
    from bench.stats import MIN_PROCESSES

    if 1 < processes < MIN_PROCESSES:
        raise BenchError(
            f"--processes {processes}: fewer than {MIN_PROCESSES} show nothing for sure; "
            f"write --processes {MIN_PROCESSES}, or 1 to measure in one process"
        )
    return processes


def share(text: str) -> float:
    """Parse ``2%`` or ``0.02`` into a fraction between 0 and 1.

    Raises:
        BenchError: something else is there.
    """
    from bench.record import BenchError

    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise BenchError(
            f"--precision-target {text}: a share between 0 and 100 % is expected; "
            "write it as 2% or 0.02"
        )
    return value


def seconds(text: str) -> float:
    """Parse ``30s``, ``10m`` or ``1h`` into seconds, from 1 up.

    Raises:
        BenchError: something else is there.
    """
    from bench.record import BenchError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    value = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if value < 1:
        raise BenchError(
            f"--sustained {text}: a time from 1s up is expected; write it as 30s, 10m or 1h"
        )
    return value


@contextmanager
def _accuracy_test(
    data: str | None, images: int | None, seed: int
) -> "Iterator[AccuracyTest | None]":
    if data is None:
        if images is not None:
            raise click.UsageError("--images says how many of --data; add --data DIR")
        yield None
        return
    from bench.accuracy import AccuracyTest
    from devices import scratch
    from models.data import open_dataset

    every = open_dataset(data, "test")
    if every.note:
        click.echo(every.note, err=True)
    chosen = every.sample(images or min(DEFAULT_IMAGES, len(every)), seed)
    with scratch.directory() as work:
        yield AccuracyTest(chosen, work)


def _measure(
    cells: "Sequence[Cell]",
    accuracy: "AccuracyTest | None",
    out: Path,
    wait_s: float,
    *,
    resume: bool,
) -> "tuple[list[Record], list[DeviceError]]":
    """Measure what is to be measured; return all records, those found on resuming first, and why
    devices could not be taken.

    Raises:
        DeviceError: none could.
    """
    from bench.lanes import run_lanes
    from bench.progress import Follower
    from bench.record_file import read
    from bench.resume import resume as split
    from devices.lock import held

    found: list[Record] = []
    if resume and out.exists():
        cells, found = split(cells, read(out), accuracy)
        click.echo(f"{len(found)} already recorded in {out}, {len(cells)} to measure", err=True)
    _tell_misfits(cells, accuracy)
    cli_network.tell(cells)
    with Follower(out, len(cells)) as follower:
        hold = partial(held, wait_s=wait_s, told=follower.note)
        refusals = run_lanes(cells, follower, accuracy, hold)
    records = [*found, *follower.records]
    if refusals and not records:
        raise refusals[0]
    return records, refusals


def _tell_misfits(cells: "Sequence[Cell]", accuracy: "AccuracyTest | None") -> None:
    if accuracy is None:
        return
    reasons = {c.artifact.manifest.key: accuracy.misfit(c.artifact.manifest) for c in cells}
    for key, reason in reasons.items():
        if reason:
            click.echo(f"accuracy of {key} not measured: {reason}", err=True)


def _print(records: "Sequence[Record]", as_json: bool) -> None:
    if as_json:
        import msgspec

        from bench.rows import rows

        click.echo(msgspec.json.format(msgspec.json.encode(rows(records)), indent=2))
        return
    from rich.console import Console

    from bench.report.further import further
    from bench.report.terminal import show_table
    from bench.rows import rows
    from bench.table import notes, table

    width = get_terminal_size().columns if sys.stdout.isatty() else LEAST_WIDTH
    console = Console(width=max(width, LEAST_WIDTH))
    counting = [record for record in records if record.counts]
    console.print(table(counting))
    for more in further(rows(counting)):
        show_table(more, console)
    for note in notes(counting):
        click.echo(note)
    if len(counting) < len(records):
        _print_beside(records, console)


def _print_beside(records: "Sequence[Record]", console: "Console") -> None:
    """Compare what was measured side by side: B is now, A was before."""
    from msgspec.structs import replace

    from bench.compare import Rule, compare_successors
    from bench.noise import profiles
    from bench.report.compared import compared
    from bench.report.terminal import show

    noise = profiles(record.device.fingerprint for record in records)
    report = compared(compare_successors(records, Rule(noise=noise)))
    click.echo()
    show(replace(report, title="Now (B) against before (A), measured side by side"), console)
