"""Plain tables for a terminal: nothing is folded or cut off, and a share can be a bar."""

import shutil
import sys
from collections.abc import Sequence

import click

GAP = "  "
_EIGHTHS = " ▏▎▍▌▋▊▉"
# Where the terminal cannot show blocks.
_PLAIN = "#"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], left: set[int]) -> str:
    """Return rows below their headings; the columns in `left` are aligned to the left."""
    cells = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    heading, *body = [_line(row, widths, left) for row in [headings, *cells]]
    return "\n".join([click.style(heading, bold=True), *body])


def _line(row: Sequence[str], widths: Sequence[int], left: set[int]) -> str:
    padded = [
        cell.ljust(width) if place in left else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return GAP.join(padded).rstrip()


def terminal_width() -> int:
    """Return the terminal's width in characters, 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def bar(share: float, width: int) -> str:
    """Return a bar of `width` characters, filled by `share` from 0 to 1 in eighths of one."""
    eighths = round(share * width * 8)
    if not (sys.stdout.encoding or "").lower().startswith("utf"):
        return (_PLAIN * round(eighths / 8)).ljust(width)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip().ljust(width)


def shape(dimensions: Sequence[int]) -> str:
    """Return ``64x56x56``."""
    return "x".join(map(str, dimensions))
