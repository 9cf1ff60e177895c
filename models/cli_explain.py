"""``edgeworthy models explain``: an idea that makes networks cheap, in numbers."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from models.cli_explain_measure import Timing
    from models.explain import Block
    from models.layer import Analysis

NAMES = ["depthwise", "bottleneck", "stack3x3", "inception"]


@click.command()
@click.argument("block", type=click.Choice(NAMES))
@click.option("--no-measure", is_flag=True, help="Count only: no export, no latency.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def explain(*, block: str, no_measure: bool, as_json: bool) -> None:
    """Dissect BLOCK: what its plain and its cheap form cost, counted and measured here.

    Latency is that of both forms exported, proved and run by turns on one thread of this machine.
    """
    from models.explain import BLOCKS, count

    found = BLOCKS[block]()
    analyses = count(found)
    timing, reason = (None, "--no-measure") if no_measure else _measured(found)
    if as_json:
        click.echo(json.dumps(_as_data(found, analyses, timing, reason), indent=2))
        return
    _print(found, analyses, timing, reason)


def _measured(block: "Block") -> "tuple[Timing | None, str]":
    from devices.device import DeviceError, WorkerError
    from export.artifact import ArtifactError
    from models.cli_explain_measure import NotMeasuredError, measure

    try:
        return measure(block, _say), ""
    except (NotMeasuredError, ArtifactError, DeviceError, WorkerError, ImportError) as error:
        return None, str(error)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _as_data(
    block: "Block", analyses: "tuple[Analysis, Analysis]", timing: "Timing | None", reason: str
) -> dict[str, Any]:
    plain, cheap = analyses
    return {
        "block": block.name,
        "title": block.title,
        "source": block.source,
        "input": block.shape[1:],
        "cost": block.cost,
        "predicted_ratio": block.predicted,
        "ratio": {
            "parameters": cheap.parameters / plain.parameters,
            "macs": cheap.macs / plain.macs,
        },
        "forms": [
            {
                "form": form.title,
                "parameters": found.parameters,
                "macs": found.macs,
                "peak_activation_bytes": found.peak_activation_bytes,
                "output": found.layers[-1].output_shape[1:],
                "receptive_field": found.layers[-1].receptive_field,
            }
            for form, found in zip(block.forms, analyses, strict=True)
        ],
        "latency": asdict(timing) if timing else None,
        "not_measured": reason or None,
    }


def _print(
    block: "Block", analyses: "tuple[Analysis, Analysis]", timing: "Timing | None", reason: str
) -> None:
    from models.table import shape, table

    plain, cheap = analyses
    click.echo(click.style(f"{block.name}: {block.title}", bold=True))
    click.echo(f"{block.source}; input {shape(block.shape[1:])}\n")
    rows = [
        _cells(form.title, found, ns)
        for form, found, ns in zip(block.forms, analyses, _latencies(timing), strict=True)
    ]
    rows.append(_ratios(plain, cheap, timing))
    headings = ["form", "params", "MACs", "output", "field", "latency"]
    click.echo(table(headings, rows, left={0, 3}) + "\n")
    for line in block.cost:
        click.echo(line)
    click.echo(
        f"so the MACs should be {block.predicted:.3f}x; counted: {cheap.macs / plain.macs:.3f}x"
    )
    click.echo(_how(timing, reason))


def _latencies(timing: "Timing | None") -> tuple[float | None, float | None]:
    return (timing.plain_ns, timing.cheap_ns) if timing else (None, None)


def _cells(title: str, found: "Analysis", ns: float | None) -> list[str]:
    from bench import units
    from models.table import shape

    last = found.layers[-1]
    return [
        title,
        units.count(found.parameters),
        units.count(found.macs),
        shape(last.output_shape[1:]),
        shape(last.receptive_field or ()),
        units.duration(ns) if ns is not None else "not measured",
    ]


def _ratios(plain: "Analysis", cheap: "Analysis", timing: "Timing | None") -> list[str]:
    return [
        "ratio",
        f"{cheap.parameters / plain.parameters:.3f}x",
        f"{cheap.macs / plain.macs:.3f}x",
        "",
        "",
        f"{timing.ratio:.3f}x" if timing else "",
    ]


def _how(timing: "Timing | None", reason: str) -> str:
    if timing is None:
        return f"latency not measured: {reason}"
    doubt = f"\ncaution: {'; '.join(timing.cautions)}" if timing.cautions else ""
    return (
        f"latency: 95 % interval of the ratio {timing.low:.3f} to {timing.high:.3f}; "
        f"{timing.runtime}, 1 thread{doubt}"
    )
