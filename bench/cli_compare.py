"""``bench compare``: records against records."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import options

if TYPE_CHECKING:
    from bench.compare import Outcome
    from bench.reading import Reading

    Side = tuple[list[Reading], list[str]]

EXIT_CODES = """\b
Exit codes:
  0  at least one pair was compared, whatever came out: 'bench check' judges
  1  nothing could be compared
  2  wrong usage or input
"""


@click.command("compare", epilog=EXIT_CODES)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="A [B]")
@click.option("--a", "pattern_a", metavar="PATTERN", help="The artifacts that are A.")
@click.option("--b", "pattern_b", metavar="PATTERN", help="The artifacts that are B.")
@click.option(
    "--margin",
    default="2%",
    show_default=True,
    metavar="SHARE",
    help="The same is: the ratio's whole interval lies this close to 1.",
)
@click.option("--anyway", is_flag=True, help="Compare what is incomparable too, and say so.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare_command(
    *,
    files: tuple[Path, ...],
    pattern_a: str | None,
    pattern_b: str | None,
    margin: str,
    anyway: bool,
    as_json: bool,
) -> None:
    """Compare two files of records, or two artifacts within one.

    \b
    bench compare before.jsonl after.jsonl
    bench compare records.jsonl --a '*/tflite-fp32' --b '*/tflite-int8'

    The latest record of each key that succeeded counts. Measurements on different machines, with
    other threads, batch or (within one format) runtime are refused.
    """  # noqa: D301 -- click reads the \b
    import gc

    from msgspec.structs import replace

    from bench.compare import SAME_ARTIFACT, TWO_ARTIFACTS, Rule, compare_all
    from bench.noise import profiles

    _check_usage(files, pattern_a, pattern_b)
    gc.disable()  # records hold no cycles, and looking for some in more and more of them takes long
    (a, failed_a), (b, failed_b) = _sides(files, pattern_a, pattern_b)
    noise = profiles(record.device.fingerprint for record in b)
    rule = Rule(margin=options.share("--margin", margin), anyway=anyway, noise=noise)
    outcome = compare_all(a, b, SAME_ARTIFACT if pattern_a is None else TWO_ARTIFACTS, rule)
    outcome = replace(outcome, failed_a=tuple(failed_a), failed_b=tuple(failed_b))
    _print(outcome, as_json)
    if not outcome.made:
        click.echo(f"error: nothing to compare: {_why(outcome)}", err=True)
        sys.exit(1)


def _check_usage(files: tuple[Path, ...], a: str | None, b: str | None) -> None:
    if len(files) > 2:
        raise click.UsageError(f"two files are compared, not {len(files)}")
    if (a is None) != (b is None) or (len(files) == 1 and a is None):
        raise click.UsageError(
            "give two files, or --a PATTERN and --b PATTERN to choose artifacts within one"
        )


def _sides(files: tuple[Path, ...], a: str | None, b: str | None) -> "tuple[Side, Side]":
    """Read both sides; one file is read once, and no record may be on both."""
    from bench.conditions import successes
    from bench.record import BenchError
    from bench.sources import readings

    first = successes(readings(files[0]))
    second = successes(readings(files[1])) if len(files) == 2 else first
    if a is None or b is None:
        return first, second
    sides = _chosen(first, a), _chosen(second, b)
    both = {r.manifest.key for r in sides[0][0]} & {r.manifest.key for r in sides[1][0]}
    if len(files) == 1 and both:
        raise BenchError(f"{min(both)} fits both --a {a} and --b {b}; narrow one of them")
    return sides


def _chosen(side: "Side", pattern: str) -> "Side":
    from export.artifact import matches

    records, failed = side
    return (
        [record for record in records if matches(record.manifest.key, pattern)],
        [name for name in failed if matches(name.split(" ")[0], pattern)],
    )


def _why(outcome: "Outcome") -> str:
    if outcome.pairs:
        return "the conditions differ; --anyway compares all the same"
    sides = (("A", outcome.only_a), ("B", outcome.only_b))
    held = "; ".join(f"{side} holds {_few(names)}" for side, names in sides)
    return f"no measurement has a partner: {held}"


def _few(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3]) or "none that succeeded"
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _print(outcome: "Outcome", as_json: bool) -> None:
    import msgspec

    from bench.report.compared import compared

    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(outcome), indent=2))
    elif outcome.pairs:
        from bench.report.terminal import console, show

        show(compared(outcome), console())
