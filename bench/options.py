"""Options that several commands of ``bench`` have, defined once."""

from pathlib import Path

import click

# Unless told otherwise, an artifact is measured in so many fresh processes.
PROCESSES = 10

artifacts_dir = click.option(
    "--artifacts-dir",
    "root",
    default=Path("artifacts"),
    type=click.Path(path_type=Path),
    show_default=True,
    help="Where the artifacts are.",
)
device = click.option(
    "--device", default="cpu", show_default=True, metavar="NAME", help="The device."
)
runtime = click.option(
    "--runtime", metavar="NAME", help="Runtime (default: the first that is there)."
)
runtime_or_all = click.option(
    "--runtime",
    metavar="NAME|all",
    help="Runtime (default: the first that is there); all: every one that is.",
)
threads = click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)


def share(option: str, text: str) -> float:
    """Parse what an option says, as ``2%``, into a fraction.

    Raises:
        BenchError: something else is there.
    """
    from bench.budget import quantity
    from bench.record import BenchError

    try:
        return quantity(text, "share", "2%")
    except ValueError as error:
        raise BenchError(f"{option} {error}") from None
