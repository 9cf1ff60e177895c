"""``bench baseline``, ``bench check`` and ``bench report``: what is judged from files alone."""

import difflib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench import options
from models.commas import joined

if TYPE_CHECKING:
    from bench.baseline import Baseline
    from bench.budget import Budgets, Group, Rule
    from bench.finding import Finding
    from bench.noise import NoiseProfile
    from bench.reading import Reading
    from bench.record import Record
    from bench.report.document import Report
    from bench.report.material import Material
    from bench.tradeoff import Tradeoff
    from export.artifact import Manifest

STYLES = {"pass": "green", "fail": "red", "unmeasured": "yellow"}
EXIT_CODES = """\b
Exit codes:
  0  every rule passed
  1  a rule failed, or there was nothing to compare
  2  wrong usage, budgets or input
  3  nothing failed, but something is unmeasured or cannot be told
"""

# What must be there where it is named; all other files are written.
READ = ("--records", "--profiles")

Function = TypeVar("Function", bound=Callable[..., Any])


def _file(flag: str, meaning: str) -> Callable[[Function], Function]:
    kind = click.Path(path_type=Path, dir_okay=False, exists=flag in READ)
    return click.option(flag, type=kind, metavar="FILE", help=meaning)


_artifacts_dir = click.option(
    "--artifacts-dir",
    "root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the artifacts are (default: artifacts).",
)
_records = _file("--records", "Records of 'bench run' (default: results/records.jsonl, if there).")
_markdown = _file("--markdown", "Write Markdown to this file too.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("baseline")
@_artifacts_dir
@_file("--records", "Records whose figures to keep (default: none).")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The baseline (default: the one that the budgets name, or edgeworthy-baseline.json).",
)
@click.option(
    "--update",
    "pattern",
    metavar="PATTERN",
    help="Replace only the artifacts that fit, and keep the rest of the baseline.",
)
def baseline_command(
    *, root: Path | None, records: Path | None, out: Path | None, pattern: str | None
) -> None:
    """Write the figures that 'bench check' judges growth against: a small file to commit."""
    from bench import baseline, budget

    path = out or budget.find(Path()).baseline
    old = baseline.read(path)
    new = baseline.build(*_current(root, records))
    if pattern is not None:
        new = baseline.update(_existing(old, path), new, pattern)
    baseline.write(path, new)
    gone = len(old.measurements.keys() - new.measurements.keys()) if old else 0
    dropped = f"; {gone} measurements of the old one dropped" if gone else ""
    click.echo(
        f"wrote {path}: {len(new.artifacts)} artifacts, {len(new.measurements)} measurements"
        f"{dropped}",
        err=True,
    )


@click.command("check", epilog=EXIT_CODES)
@_artifacts_dir
@_records
@_file("--baseline", "The baseline (default: the one that the budgets name).")
@_file("--config", "File of budgets (default: edgeworthy.toml or pyproject.toml here).")
@click.option(
    "--only",
    multiple=True,
    callback=joined,
    metavar="GROUP,...",
    help="Of size, latency, memory, accuracy, contract.",
)
@_json
@_markdown
def check_command(
    *,
    root: Path | None,
    records: Path | None,
    baseline: Path | None,
    config: Path | None,
    only: str | None,
    as_json: bool,
    markdown: Path | None,
) -> None:
    """Hold artifacts and records against the budgets; fail when anything got worse.

    \b
    [[tool.edgeworthy.budget]]            # in pyproject.toml
    artifact = "mobilenet*/tflite-int8"
    max-size = "1.2 MB"
    max-latency-growth = "10%"
    """  # noqa: D301 -- click reads the \b
    from bench import budget
    from bench.finding import exit_code
    from bench.gate import judge

    budgets = budget.read(config) if config else budget.find(Path())
    rules = budgets.only(_groups(only))
    measured = _latest_pairs(records) if any(rule.limit.measured for rule in rules) else []
    findings = judge(
        rules, _artifacts(root, rules), measured, _baseline(baseline, budgets), _noise(measured)
    )
    _print_findings(findings, budgets, as_json, markdown)
    sys.exit(exit_code(findings))


@click.command("report")
@_artifacts_dir
@options.records_in
@_file("--profiles", "Profiles of 'bench profile' (default: results/profiles.jsonl, if there).")
@_file("--baseline", "Show changes against this baseline.")
@_markdown
@_file("--html", "Write one HTML file with charts too, that needs no network.")
@click.option(
    "--charts",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write every chart as SVG and PNG too.",
)
@_file("--csv", "Write the figures of every record as CSV too.")
@_json
def report_command(
    *,
    root: Path | None,
    files: tuple[Path, ...],
    profiles: Path | None,
    baseline: Path | None,
    markdown: Path | None,
    html: Path | None,
    charts: Path | None,
    csv: Path | None,
    as_json: bool,
) -> None:
    """Contrast the networks: parameters, MACs, activations, sizes, latency, memory, accuracy."""
    from bench import sources
    from bench.record import BenchError
    from bench.report import contrast
    from bench.report.material import gather

    if html or charts:
        _check_drawing("--html" if html else "--charts")
    artifacts, measured = sources.manifests(root), _latest(*files)
    if not artifacts and not measured:
        raise BenchError(
            "nothing to report: no artifacts and no records here; "
            "type 'edgeworthy export --model NAME --format FORMAT', then 'bench run'"
        )
    old = _read_baseline(baseline) if baseline else None
    weighed = _weighed(files, measured) if html or charts else None
    material = gather(artifacts, measured, old, sources.profiles(profiles), weighed)
    report = contrast.report(material)
    _write(report, material, markdown, csv)
    if html or charts:
        _draw(report, material, html, charts)
    if as_json:
        _print_json(report)
    else:
        from bench.report.terminal import console, show

        show(report, console())


def _check_drawing(flag: str) -> None:
    """Find out before the work whether there is what draws."""
    from bench.record import BenchError

    try:
        from bench.report import html_page  # noqa: F401
    except ModuleNotFoundError as missing:
        raise BenchError(
            f"{flag} needs {missing.name}, which is not here: pip install 'edgeworthy[report]'"
        ) from None


def _write(report: "Report", material: "Material", markdown: Path | None, csv: Path | None) -> None:
    from bench import atomic

    if markdown:
        from bench.report.markdown import markdown as text

        atomic.write(markdown, text(report).encode())
    if csv:
        from bench.report.spreadsheet import spreadsheet

        atomic.write(csv, spreadsheet(material.lines).encode())


def _draw(report: "Report", material: "Material", html: Path | None, charts: Path | None) -> None:
    from bench import atomic
    from bench.report import charts_draw
    from bench.report.charts import charts as drawn
    from bench.report.charts_document import Chart
    from bench.report.html_page import page

    found = drawn(material)
    if html:
        atomic.write(html, page(report, material, found).encode())
        click.echo(f"wrote {html}", err=True)
    if charts:
        written = charts_draw.write([c for c in found if isinstance(c, Chart)], charts)
        click.echo(f"wrote {len(written)} pictures to {charts}", err=True)


def _current(root: Path | None, records: Path | None) -> "tuple[list[Manifest], list[Reading]]":
    """Return all artifacts, checked, and those records that a later one can be judged against."""
    from bench.baseline import unfit
    from bench.conditions import name
    from bench.record import BenchError
    from bench.sources import manifests

    artifacts = manifests(root, lambda _: True)
    if not artifacts:
        raise BenchError(
            f"there are no artifacts in {root or 'artifacts'}; "
            "make one with 'edgeworthy export --model NAME --format FORMAT'"
        )
    known = {manifest.key: manifest for manifest in artifacts}
    fit = []
    for record in _latest(records) if records else []:
        if reason := unfit(record, known.get(record.manifest.key)):
            click.echo(f"left out {name(record)}: {reason}", err=True)
        else:
            fit.append(record)
    return artifacts, fit


def _existing(old: "Baseline | None", path: Path) -> "Baseline":
    from bench.record import BenchError

    if old is None:
        raise BenchError(f"there is no {path} to update; leave out --update to write one")
    return old


def _groups(only: str | None) -> "tuple[Group, ...]":
    from bench.budget import GROUPS

    names = GROUPS if only is None else tuple(part.strip() for part in only.split(","))
    for name in names:
        if name not in GROUPS:
            near = difflib.get_close_matches(name, GROUPS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(GROUPS)}"
            raise click.UsageError(f"--only {name!r} is no group of rules; {hint}")
    return tuple(group for group in GROUPS if group in names)


def _artifacts(root: Path | None, rules: "Sequence[Rule]") -> "list[Manifest]":
    """Read the manifests; the files of those that a rule fits must be what the manifest says."""
    from bench.sources import manifests
    from export.artifact import matches

    return manifests(root, lambda key: any(matches(key, rule.artifact) for rule in rules))


def _latest(*files: Path | None) -> "list[Reading]":
    """Return the latest record of each key in all files together."""
    from bench.conditions import latest

    return latest(_readings(*files))


def _readings(*files: Path | None) -> "Iterator[Reading]":
    import gc

    from bench.sources import readings

    gc.disable()  # records hold no cycles, and looking for some in more and more of them takes long
    return (reading for file in files or (None,) for reading in readings(file))


def _weighed(files: Sequence[Path], measured: "Sequence[Reading]") -> "Tradeoff | None":
    """Weigh device against cloud where both were measured; the samples are read anew."""
    from bench.conditions import latest
    from bench.record import BenchError
    from bench.sources import all_records
    from bench.tradeoff import tradeoff

    if len({record.cloud is None for record in measured}) < 2:
        return None
    try:
        return tradeoff(latest(all_records(files)))
    except BenchError as error:
        click.echo(f"device and cloud are not weighed: {error}", err=True)
        return None


def _latest_pairs(path: Path | None) -> "list[Reading]":
    """Return the latest record of each key, and what was measured beside them."""
    from bench.conditions import latest_pairs

    counting, beside = latest_pairs(_readings(path))
    return [*counting, *beside.values()]


def _noise(records: "Sequence[Record]") -> "dict[str, NoiseProfile]":
    """Return what 'bench calibrate' found of the devices that the records are of."""
    if not records:
        return {}
    from bench.noise import profiles

    return profiles(record.device.fingerprint for record in records)


def _baseline(path: Path | None, budgets: "Budgets") -> "Baseline | None":
    from bench import baseline

    return _read_baseline(path) if path else baseline.read(budgets.baseline)


def _read_baseline(path: Path) -> "Baseline":
    from bench import baseline
    from bench.record import BenchError

    found = baseline.read(path)
    if found is None:
        raise BenchError(
            f"there is no baseline {path}; write one with 'bench baseline --out {path}'"
        )
    return found


def _print_findings(
    findings: "list[Finding]", budgets: "Budgets", as_json: bool, markdown: Path | None
) -> None:
    from bench.finding import tally

    if markdown:
        from bench import atomic
        from bench.report.checked import checked
        from bench.report.markdown import markdown as text

        report = checked(findings, str(budgets.source or "no file"))
        atomic.write(markdown, text(report).encode())
    if as_json:
        _print_json(findings)
        return
    rules = [f"{found.rule} {found.limit}" for found in findings]
    wide = [max(map(len, column)) for column in (rules, [f.subject for f in findings])]
    words = {verdict: click.style(f"{verdict:10}", fg=fg) for verdict, fg in STYLES.items()}
    lines = [
        f"{words[found.verdict]}  {rule:{wide[0]}}  {found.subject:{wide[1]}}  {found.reason}"
        for rule, found in zip(rules, findings, strict=True)
    ]
    click.echo("\n".join([*lines, tally(findings)]))


def _print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
