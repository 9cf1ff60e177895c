"""Numbers on the command line that are numbers."""

from math import isfinite
from typing import Any

import click


class Finite(click.FloatRange):
    """A range that holds neither "nan" nor "inf", as click's own does."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, refusing what is none."""
        number = super().convert(value, param, ctx)
        return number if isfinite(number) else self.fail(f"{value} is no number", param, ctx)
