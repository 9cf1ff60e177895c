"""``bench tradeoff``: the command line of edge against cloud, from records."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import options
from models.commas import joined
from models.finite import Finite

if TYPE_CHECKING:
    from bench.tradeoff import Tradeoff

EXIT_CODES = """\b
Exit codes:
  0  a candidate is recommended, over every network measured
  1  nothing meets the budget, over one of them at least
  2  wrong usage or input, or no task in common
  3  cannot tell, over one of them at least: an interval lies around a limit; or only
     one side, edge or cloud, has figures that can be used
"""


@click.command("tradeoff", epilog=EXIT_CODES)
@options.records_in
@click.option(
    "--budget",
    multiple=True,
    callback=joined,
    metavar="LIMITS",
    help="What must be kept: latency=50ms,p90=80ms,size=5MB,memory=50MB,accuracy=90%,"
    "data=1GB (a month),energy=10mJ,offline,private.",
)
@click.option("--network", metavar="NAME", help="Only the servers reached over this link.")
@click.option(
    "--per-day",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Inferences a day.",
)
@click.option("--price-per-gb", type=Finite(min=0), metavar="X", help="Price of data.")
@click.option("--server-price-per-hour", type=Finite(min=0), metavar="X", help="Price of a server.")
@click.option(
    "--markdown",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write Markdown to this file too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with a map of every crossover.")
def tradeoff_command(
    *,
    files: tuple[Path, ...],
    budget: str | None,
    network: str | None,
    per_day: int,
    price_per_gb: float | None,
    server_price_per_hour: float | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Say, from records alone, whether a network should run on the device or in the cloud.

    \b
    bench tradeoff --budget latency=50ms,size=5MB,accuracy=90%

    For each task and each network over which a server was measured: what meets the budget, ranked
    by latency end to end, what each way costs, and from which rate and round trip on the cloud is
    faster. Nothing is measured here.
    """  # noqa: D301 -- click reads the \b
    from bench.candidate import Terms
    from bench.conditions import latest
    from bench.constraints import parse
    from bench.sources import all_records
    from bench.tradeoff import tradeoff

    terms = Terms(
        per_day=per_day,
        price_per_gb=price_per_gb,
        server_price_per_hour=server_price_per_hour,
    )
    limits = parse(budget) if budget is not None else ()
    found = tradeoff(latest(all_records(files)), limits, terms, network)
    _print(found, markdown, as_json=as_json)
    sys.exit(found.exit_code)


def _print(found: "Tradeoff", markdown: Path | None, *, as_json: bool) -> None:
    from bench.report import tradeoff

    if markdown:
        from bench import atomic
        from bench.report.markdown import markdown as text

        atomic.write(markdown, text(tradeoff.report(found)).encode())
    if as_json:
        import json

        click.echo(json.dumps(tradeoff.as_data(found), indent=2))
    else:
        from bench.report.terminal import console, show

        show(tradeoff.report(found), console())
    if found.exit_code:
        click.echo(f"error: {tradeoff.nothing(found)}", err=True)
