"""A report as Markdown, with tables as GitHub shows them."""

from collections.abc import Iterable, Iterator

from bench.report.document import Report, Table


def markdown(report: Report) -> str:
    """Return the report as Markdown text that ends in a newline."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"## {report.title}"
    yield from _list(report.readings)
    for table in report.tables:
        yield from ("", f"### {table.title}", "", *_table(table))
    for heading, lines in (("Notes", report.notes), ("Environment", report.environment)):
        if lines:
            yield from ("", f"### {heading}")
            yield from _list(lines)


def _list(sentences: Iterable[str]) -> list[str]:
    items = [f"- {_escape(sentence)}" for sentence in sentences]
    return ["", *items] if items else []


def _table(table: Table) -> Iterator[str]:
    yield _row(column.title for column in table.columns)
    yield _row("--:" if column.right else "---" for column in table.columns)
    for row in table.rows:
        yield _row(cell.text for cell in row)


def _row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(_escape(text) for text in texts)} |"


def _escape(text: str) -> str:
    """Keep names as they are written: a bar would end a cell, stars and underlines emphasise."""
    for character in "\\|*_<>`":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", "<br>")
