"""``edgeworthy models``: list, show, explain and train the networks."""

import click

from models.cli_explain import explain
from models.cli_list import list_
from models.cli_show import show
from models.cli_train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, show, explain and train the networks."""


for _command in (list_, show, explain, train):
    command.add_command(_command)
