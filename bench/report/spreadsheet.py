"""A report's figures as CSV: a line for each record, in base units."""

import csv
import io
import re
from collections.abc import Iterable, Iterator

import msgspec

from bench.report.material import Line
from bench.rows import Row

Value = str | float | bool | None


def spreadsheet(lines: Iterable[Line]) -> str:
    """Return CSV with a heading; columns as of ``bench run --json``, with ``cold.load_ns``.

    Series (curves, memory by kind, energy by sensor) are left to the records. Counts, which
    are no times, have columns of their own, as ``p50_instructions``.
    """
    found = [_named(line.row) | {"verdict": line.verdict} for line in lines]
    names = dict.fromkeys(name for row in found for name in row)
    groups = {name.rpartition(".")[0] for name in names}  # where one has none, it is a blank
    columns = [name for name in names if name not in groups]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, "", "ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _shown(value) for name, value in row.items()} for row in found)
    return out.getvalue()


def _named(row: Row) -> dict[str, Value]:
    if row.counts is None:
        return dict(_flat("", row))
    unit = f"_{row.counts}"
    return {re.sub("_ns$", unit, name): value for name, value in _flat("", row)}


def _flat(prefix: str, figures: msgspec.Struct) -> Iterator[tuple[str, Value]]:
    for name in figures.__struct_fields__:
        value = getattr(figures, name)
        if isinstance(value, msgspec.Struct):
            yield from _flat(f"{prefix}{name}.", value)
        elif not isinstance(value, tuple):
            yield f"{prefix}{name}", value


def _shown(value: Value) -> Value:
    """Keep a name from being taken for a formula by a program that shows the file."""
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@"))
    return f"'{value}" if formula else value
