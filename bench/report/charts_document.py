"""A chart as data: what it shows, in words too, and what it is drawn from."""

from dataclasses import dataclass

import altair as alt


@dataclass(frozen=True)
class Mark:
    """One thing drawn: in words, and the record or artifact that it is of."""

    label: str
    source: str


@dataclass(frozen=True)
class Chart:
    """A chart. `name` is that of its files; `summary` says in a sentence or two what to see;
    charts of a `topic` stand together.
    """

    name: str
    title: str
    summary: str
    picture: alt.LayerChart
    marks: tuple[Mark, ...]
    topic: str = ""


@dataclass(frozen=True)
class Absent:
    """A chart that is not drawn, and why: what would give its data."""

    title: str
    reason: str
