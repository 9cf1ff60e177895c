"""``edgeworthy bench``: measure, compare, keep a baseline, check budgets, report."""

import click

from bench.cli_calibrate import calibrate_command
from bench.cli_compare import compare_command
from bench.cli_decide import decide_command
from bench.cli_judge import baseline_command, check_command, report_command
from bench.cli_profile import profile_command
from bench.cli_run import run_command
from bench.cli_tradeoff import tradeoff_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Measure artifacts, compare records, check budgets, write reports."""


COMMANDS = (
    run_command,
    compare_command,
    decide_command,
    baseline_command,
    check_command,
    report_command,
    calibrate_command,
    profile_command,
    tradeoff_command,
)
for _command in COMMANDS:
    command.add_command(_command)
