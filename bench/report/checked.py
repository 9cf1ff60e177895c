"""The table of `bench check`."""

from collections.abc import Sequence

from bench.finding import Finding, tally
from bench.report.document import Cell, Column, Report, Table, word


def checked(findings: Sequence[Finding], source: str) -> Report:
    """Return the report of `bench check`: every rule, what it was held against, and the verdict."""
    titles = ("verdict", "rule", "artifact", "figures")
    return Report(
        title=f"Budgets of {source}",
        readings=(tally(findings),),
        tables=(
            Table(
                title="Rules",
                columns=tuple(Column(title, right=False) for title in titles),
                rows=tuple(_finding(found) for found in findings),
            ),
        ),
    )


def _finding(found: Finding) -> tuple[Cell, ...]:
    rule = f"{found.rule} {found.limit}"
    return (word(found.verdict), word(rule), word(found.subject), word(found.reason))
