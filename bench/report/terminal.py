"""A report on a terminal, or as plain text where standard output is none."""

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.report.document import Cell, Column, Report, Table

PLAIN_WIDTH = 120
WIDEST_FIGURE = 12
# Drawing a row takes a millisecond.
MOST_DRAWN = 1000
STYLES = {
    "valid": "green", "pass": "green", "same": "green", "faster": "green",
    "identical": "green",
    "noisy": "yellow", "drifting": "yellow", "contended": "yellow", "throttled": "yellow",
    "too short": "yellow", "unproved": "yellow", "emulated": "yellow",
    "unmeasured": "yellow", "cannot tell": "yellow", "outdated": "yellow", "incomparable": "yellow",
    "wrong": "bold red", "failed": "red", "fail": "bold red", "slower": "red",
}  # fmt: skip


def console() -> Console:
    """Return a console on standard output, 120 columns wide where that is no terminal."""
    found = Console(highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def show(report: Report, out: Console) -> None:
    """Print a report: its sentences, its tables, its notes."""
    out.print(Text(report.title, style="bold"))
    _sentences(report.readings, out)
    long = sum(len(table.rows) for table in report.tables) > MOST_DRAWN
    for table in report.tables:
        if long:
            _write_plain(table, out)
        else:
            out.print()
            show_table(table, out)
    for heading, lines in (("notes", report.notes), ("environment", report.environment)):
        if lines:
            out.print()
            out.print(Text(heading, style="bold"))
            _sentences(lines, out)


def show_table(table: Table, out: Console) -> None:
    """Print one table; words of judgement are coloured on a terminal."""
    flat = _unnested(table) if table.nested else table
    drawn = RichTable(box=None, pad_edge=False)
    for column in flat.columns:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        drawn.add_column(_heading(column), justify=justify, overflow="fold")
    for row in flat.rows:
        drawn.add_row(*(Text(cell.text, style=STYLES.get(cell.text, "")) for cell in row))
    out.print(Text(table.title, style="bold"))
    out.print(drawn)


def _write_plain(table: Table, out: Console) -> None:
    """Write a table in which nobody reads every row: one line each, not wrapped nor coloured."""
    rows = [[cell.text.replace("\n", " ") for cell in row] for row in table.rows]
    rows.insert(0, [column.title for column in table.columns])
    columns = zip(table.columns, zip(*rows, strict=True), strict=True)
    line = "  ".join(
        f"{{:{'>' if column.right else '<'}{max(map(len, texts))}}}" for column, texts in columns
    ).format
    out.file.writelines([f"\n{table.title}\n", *(line(*row).rstrip() + "\n" for row in rows)])


def _heading(column: Column) -> str:
    """Break a heading that would be wider than its figures."""
    long = column.right and len(column.title) > WIDEST_FIGURE
    return column.title.replace(" ", "\n", 1) if long else column.title


def _unnested(table: Table) -> Table:
    """Write the first cell once, above its rows, whose second cell is indented: long names fit."""
    outer, inner, *columns = table.columns
    rows: list[tuple[Cell, ...]] = []
    for index, (name, label, *cells) in enumerate(table.rows):
        if not index or name != table.rows[index - 1][0]:
            rows.append((name, *[Cell("")] * len(cells)))
        rows.append((Cell(f"  {label.text}"), *cells))
    heading = Column(f"{outer.title} and {inner.title}", right=False)
    return Table(title=table.title, columns=(heading, *columns), rows=tuple(rows))


def _sentences(lines: Sequence[str], out: Console) -> None:
    """Print one line each, broken only by the terminal itself, so that they can be searched."""
    if len(lines) > MOST_DRAWN:
        out.file.writelines(f"  {line}\n" for line in lines)
        return
    for line in lines:
        out.print(Text(f"  {line}"), soft_wrap=True)
