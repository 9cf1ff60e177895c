"""The umbrella command: four nouns, four packages, imported late."""

import importlib
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import click

NOUNS = {
    "export": "Export a network to ONNX, TFLite and Core ML, and prove each file.",
    "bench": "Measure artifacts, compare records, check budgets, write reports.",
    "models": "List, show and train the networks.",
    "devices": "List, check and add the devices to measure on.",
}
HERE = Path(__file__).resolve().parent


class _Late(click.Group):
    """Imports a noun's package when it is used, so that help and judging start quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return noun(cmd_name) if cmd_name in NOUNS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(NOUNS.items()))


def noun(name: str) -> click.Command:
    """Import and return a noun's command, after checking that the package is ours."""
    spec = find_spec(name)
    origin = Path(spec.origin).resolve() if spec and spec.origin else None
    if origin is None or origin.parent.parent != HERE:
        raise click.ClickException(
            f"the package '{name}' at {origin} hides edgeworthy's own; install edgeworthy in an "
            "environment of its own (venv or pipx), or run it from another directory"
        )
    command: click.Command = importlib.import_module(f"{name}.cli").command
    return command


@click.command(cls=_Late, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edgeworthy")
def cli() -> None:
    """Is this network worth running on the edge, where, and in which form?"""


def run(command: click.Command, prog: str) -> None:
    """Run a command; an error of ours or the user's becomes one line and an exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # clean up first
    try:
        sys.exit(command.main(prog_name=prog, standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        asked = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        click.echo(f"error: {error.format_message().rstrip('.')}{asked}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if code is None:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(code)


def main() -> None:
    """Run ``edgeworthy``."""
    run(cli, "edgeworthy")


def bench() -> None:
    """Run ``bench``, the same as ``edgeworthy bench``."""
    _shortcut("bench")


def export() -> None:
    """Run ``export``, the same as ``edgeworthy export``."""
    _shortcut("export")


def _shortcut(name: str) -> None:
    try:
        command = noun(name)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    run(command, name)


if __name__ == "__main__":
    main()
