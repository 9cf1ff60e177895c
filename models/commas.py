"""Options that take a list with commas, and may be given several times all the same."""

import click


def joined(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> str | None:
    """Return the lists of an option with ``multiple=True`` as one, None without any: a callback."""
    return ",".join(values) if values else None
