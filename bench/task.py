"""What a network is for, told from records alone: only networks of one task replace each other."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bench.record import Record
from export.artifact import Manifest

# Class names in a task's own name, before it is cut short.
NAMED = 2

Label = tuple[str, tuple[str, ...]]


class Task(NamedTuple):
    """A task by name, and the records of it."""

    name: str
    records: tuple[Record, ...]


def tasks(records: Iterable[Record]) -> list[Task]:
    """Group records by task.

    Two records are of one task if their accuracy is on the same data set (or their weights learnt
    from it), or if their networks name the same classes in the same order; and so is a third that
    shares either with one of them. What has neither is of the task of so many unnamed outputs.
    """
    groups: list[tuple[set[Label], list[Record]]] = []
    for record in records:
        labels = set(_labels(record))
        alike = [group for group in groups if group[0] & labels]
        groups = [group for group in groups if not group[0] & labels]
        members = [member for _, found in alike for member in found]
        groups.append((labels.union(*(found for found, _ in alike)), [*members, record]))
    return [Task(_name(labels), tuple(members)) for labels, members in groups]


def _labels(record: Record) -> Iterator[Label]:
    learnt = record.manifest.network.weights.dataset
    dataset = record.accuracy.dataset if record.accuracy else learnt
    classes = _classes(record.manifest)
    if dataset:
        yield "data", (dataset,)
    if classes:
        yield "classes", classes
    if not (dataset or classes):
        yield "outputs", tuple(map(str, record.manifest.contract.outputs[0].shape[1:]))


def _classes(manifest: Manifest) -> tuple[str, ...]:
    """Return the classes' names; numbers are none."""
    names = manifest.contract.classes or ()
    return () if names == tuple(map(str, range(len(names)))) else names


def _name(labels: Iterable[Label]) -> str:
    """Return the data sets' names, or else what is known of the outputs."""
    found = sorted(labels)
    if datasets := [texts[0] for kind, texts in found if kind == "data"]:
        return ", ".join(datasets)
    (kind, texts), *_ = found
    if kind == "outputs":
        return f"{'x'.join(texts)} unnamed outputs"
    more = ", ..." if len(texts) > NAMED else ""
    return f"{len(texts)} classes ({', '.join(texts[:NAMED])}{more})"
