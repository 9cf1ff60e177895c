"""A table with a line for every measurement that has something for it."""

from collections.abc import Callable, Iterable, Sequence

from bench.report.document import Cell, Column, Table, of, word
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
    found = [(row, cells) for row in rows for cells in figures(row)]
    if not found:
        return None
    names = varying(rows)
    left = (Column("network", right=False), Column("artifact", right=False))
    return Table(
        title=title,
        columns=(*left, *columns),
        rows=tuple(
            of(row.key, (word(row.model), word(label(row, names)), *cells)) for row, cells in found
        ),
        nested=True,
    )
