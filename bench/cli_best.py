"""``bench run --best``: the command line of a search."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

if TYPE_CHECKING:
    from bench.accuracy import AccuracyTest
    from bench.demands import Demands
    from bench.matrix import Artifact, Cell, Choice, Effort, Target
    from bench.record import Record
    from bench.search import Outcome


class Wish(TypedDict):
    """The options of `best_options` as given."""

    best: bool
    model: str | None
    min_accuracy: str | None
    max_accuracy_drop: str | None
    max_memory: str | None


_OPTIONS = (
    click.option(
        "--best",
        is_flag=True,
        help="Search files, runtimes and threads (default: 1 and all cores) for the fastest, and "
        "say what it wins over the defaults.",
    ),
    click.option("--model", metavar="NAME", help="Of --best: the network, all its files."),
    click.option(
        "--min-accuracy", metavar="SHARE", help="Of --best: least top-1 on --data, as 92%."
    ),
    click.option(
        "--max-accuracy-drop",
        metavar="POINTS",
        help="Of --best: most points of top-1 below the defaults, as 0.5.",
    ),
    click.option("--max-memory", metavar="SIZE", help="Of --best: most peak memory, as 50MB."),
)


def best_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a search to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def patterns(wish: Wish, given: Sequence[str], other: Mapping[str, object]) -> tuple[str, ...]:
    """Return which artifacts are meant, once the options are found to go together.

    Args:
        wish: the options of a search.
        given: the patterns of ``--artifact``.
        other: options by name that a search has no use for, empty where they are not given.

    Raises:
        UsageError: they do not.
    """
    own = [name for name, value in wish.items() if value and name != "best"]
    if not wish["best"]:
        if own:
            raise click.UsageError(f"--{own[0].replace('_', '-')} belongs to --best; add --best")
        return tuple(given)
    if option := next((name for name, value in other.items() if value), None):
        raise click.UsageError(f"{option} and --best do not go together; leave one out")
    if (wish["model"] is None) == (not given):
        raise click.UsageError("--best needs the network: --model NAME, or --artifact GLOB")
    return (f"{wish['model']}/*",) if wish["model"] else tuple(given)


def demands(wish: Wish, *, images: bool) -> "Demands":
    """Read the limits.

    Raises:
        BenchError: one is no quantity of its kind.
        UsageError: an accuracy is demanded, and there are no images.
    """
    from bench.demands import Demands

    found = Demands(
        min_accuracy=_quantity("--min-accuracy", wish["min_accuracy"], "share", "92%"),
        max_drop=_quantity("--max-accuracy-drop", wish["max_accuracy_drop"], "points", "0.5"),
        max_memory=_quantity("--max-memory", wish["max_memory"], "bytes", "50MB"),
    )
    if found.accuracy and not images:
        raise click.UsageError("an accuracy is measured on images; add --data DIR")
    return found


def _quantity(option: str, text: str | None, unit: str, example: str) -> float | None:
    from bench.budget import quantity
    from bench.record import BenchError

    if text is None:
        return None
    try:
        return quantity(text, unit, example)
    except ValueError as error:
        raise BenchError(f"{option} {error}") from None


def cells(
    chosen: "Sequence[Artifact]",
    targets: "Sequence[Target]",
    choice: "Choice",
    effort: "Effort",
) -> "list[Cell]":
    """Return the candidates.

    Raises:
        BenchError: there are none, or not of one network.
        UsageError: on several devices, or of several batch sizes.
    """
    from bench.exact import refuse
    from bench.search import candidates

    refuse(targets, "which is best on hardware")
    if len(targets) > 1 or len(choice.batches) > 1:
        raise click.UsageError("--best searches one device with one batch size; give one of each")
    source = click.get_current_context().get_parameter_source("threads")
    given = source is not None and source.name == "COMMANDLINE"
    threads = choice.threads if given else all_cores(targets[0])
    return candidates(chosen, targets[0], replace(choice, threads=threads), effort)


def all_cores(target: "Target") -> tuple[int, ...]:
    """Return 1 and the number of the device's cores, where it tells."""
    facts = target.info.facts
    restriction = facts.get("cpus", "all")
    own = re.match(r"\d+(,\d+)*", restriction)
    cores = len(own[0].split(",")) if own else int(facts.get("cores", 1))
    return tuple(dict.fromkeys((1, cores)))


def run(
    cells: "Sequence[Cell]",
    wish: Wish,
    accuracy: "AccuracyTest | None",
    out: Path,
    as_json: bool,
) -> int:
    """Search, appending every record to `out`; print what was found and return the exit code."""
    from bench.noise import profiles
    from bench.search import search

    wanted = demands(wish, images=accuracy is not None)
    if wanted.accuracy and accuracy is not None:
        _check_fit(cells, accuracy)
    noise = profiles([cells[0].target.info.fingerprint])
    outcome = search(cells, wanted, partial(_measure, out), accuracy, noise)
    _show(outcome, as_json)
    return outcome.exit_code


def _check_fit(cells: "Sequence[Cell]", accuracy: "AccuracyTest") -> None:
    from bench.record import BenchError

    manifests = [cell.artifact.manifest for cell in cells]
    if all(accuracy.misfit(manifest) for manifest in manifests):
        reason = accuracy.misfit(manifests[0])
        raise BenchError(f"--data cannot test {manifests[0].network.name}: {reason}")


def _measure(out: Path, cells: "Sequence[Cell]", accuracy: "AccuracyTest | None") -> "list[Record]":
    from bench.lanes import run_held
    from bench.progress import Follower

    click.echo(_stage(cells[0].effort, len(cells)), err=True)
    with Follower(out, len(cells)) as follower:
        run_held(cells, follower, accuracy, mixed=True)
    return follower.records


def _stage(effort: "Effort", count: int) -> str:
    name = "in full" if effort.rung is None else f"rung {effort.rung}"
    return f"{name}: {count} candidates, up to {effort.max_seconds:.3g} s each"


def _show(outcome: "Outcome", as_json: bool) -> None:
    from bench.report import best

    if as_json:
        import json

        click.echo(json.dumps(best.as_data(outcome), indent=2))
    else:
        from bench.report.terminal import console
        from bench.report.terminal import show as show_report

        show_report(best.best(outcome), console())
    if outcome.best is None:
        click.echo(f"error: {best.nothing(outcome)}", err=True)
