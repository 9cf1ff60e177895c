"""A table with a line for every measurement that has something for it."""

from collections.abc import Callable, Iterable, Sequence

from bench.report.document import Cell, Column, Table, word
from bench.rows import Row, label, varying


def lines(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    figures: Callable[[Row], Iterable[Iterable[Cell]]],
) -> Table | None:
    """Return a table of the lines that `figures` gives of each row, None of none.

    Network and artifact come first, with what varies among all `rows`.
    """
    names = varying(rows)
    found = tuple(
        (word(row.model), word(label(row, names)), *cells) for row in rows for cells in figures(row)
    )
    left = (Column("network", right=False), Column("artifact", right=False))
    return Table(title=title, columns=(*left, *columns), rows=found, nested=True) if found else None
