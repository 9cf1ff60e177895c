"""The options of ``bench run`` that ask for more than single inferences: streams and scenarios."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from models.commas import joined

if TYPE_CHECKING:
    from bench.record import ScenarioName
    from bench.scenario import Plan

# What a scenario's rule settles, and what it has no place for.
SETTLED = ("streams", "processes", "max_seconds", "sustained")


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


_OPTIONS = (
    click.option(
        "--streams",
        multiple=True,
        callback=joined,
        metavar="N,...",
        help="Numbers of inferences that run at once, for the throughput (1: one after another).",
    ),
    click.option(
        "--scenario",
        type=click.Choice(["single-stream", "multi-stream", "offline"]),
        help="Measure by this rule of MLPerf Inference instead: at least ten minutes each.",
    ),
    click.option(
        "--scenario-seconds",
        type=click.FloatRange(min=1),
        help="At least so long instead; what is shorter than the rule says so.",
    ),
    click.option(
        "--scenario-queries",
        type=click.IntRange(min=1),
        help="At least so many queries instead (offline: samples).",
    ),
)


def plan(name: "ScenarioName | None", seconds: float | None, queries: int | None) -> "Plan | None":
    """Return the scenario that was asked for, None if none was.

    Raises:
        click.UsageError: something beside it makes no sense.
    """
    if name is None:
        if seconds is not None or queries is not None:
            raise click.UsageError(
                "--scenario-seconds and --scenario-queries shorten a scenario; add --scenario NAME"
            )
        return None
    if seconds is not None and not math.isfinite(seconds):
        raise click.BadParameter("a number is expected", param_hint="--scenario-seconds")
    for option in SETTLED:
        if click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE:
            given = f"--{option.replace('_', '-')}"
            raise click.UsageError(f"--scenario {name} has a rule of its own; leave out {given}")
    from bench import scenario

    return scenario.plan(name, seconds, queries)
