"""A report as data: tables of cells, sentences, notes. How it looks is the renderers' business."""

from collections.abc import Callable, Iterable

import msgspec

UNMEASURED = "unmeasured"
EMPTY = "-"


class Cell(msgspec.Struct, frozen=True):
    """What is printed, and the figure behind it in its base unit (ns, bytes, fraction).

    `source` names the record or the artifact that it is of: see `of`.
    """

    text: str
    value: float | str | None = None
    source: str | None = None


class Column(msgspec.Struct, frozen=True):
    """A heading; figures stand to the right."""

    title: str
    right: bool = True


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of as many cells as there are columns.

    `nested`: rows with the same first cell follow each other, and may stand below it.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    nested: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report: `readings` are computed sentences, `notes` what must be known to read it."""

    title: str
    readings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()


def figure(value: float | None, show: Callable[[float], str], missing: str = EMPTY) -> Cell:
    """Return a figure's cell, or the word `missing` where there is none."""
    return Cell(missing) if value is None else Cell(show(value), value)


def word(text: str) -> Cell:
    """Return a cell that is its own value."""
    return Cell(text, text)


def of(source: str, cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Return a row's cells, those with a figure or a word said to be of a record or artifact.

    Args:
        source: the record's key, its parts joined by blanks; or an artifact's ``model/variant``.
        cells: of the row.
    """
    return tuple(
        [cell if cell.text == EMPTY else Cell(cell.text, cell.value, source) for cell in cells]
    )
