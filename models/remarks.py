"""What everyone should see in a network's figures, in words: computed for any network."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from models.grouping import CONVOLUTIONS, Row, label, rows
from models.layer import Analysis

NAMES = {"conv": "convolution", "depthwise conv": "convolution", "linear": "fully-connected layer"}
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def remarks(analysis: Analysis) -> list[str]:
    """Return a line on memory, one on parameters and one on arithmetic, where there is any."""
    found = [row for row in rows(analysis) if row.layers[0].kind != "input"]
    return [*_memory(found, analysis), *_parameters(found, analysis), *_arithmetic(found, analysis)]


def _memory(found: Sequence[Row], analysis: Analysis) -> Iterator[str]:
    """Name the first layers that hold half of all that is allocated."""
    sums = list(accumulate(row.activation_bytes for row in found))
    whole = analysis.total_activation_bytes
    end = next((i for i, allocated in enumerate(sums) if 2 * allocated >= whole), None)
    if end is None or not whole:
        return
    first, of = _convolutions(found[: end + 1]), _convolutions(found)
    noun = "convolution"
    if not first:
        first, of, noun = end + 1, len(found), "layer"
    yield f"most activation memory in {_first(first, of, noun)} ({_share(sums[end], whole)})"


def _first(count: int, of: int, noun: str) -> str:
    """Return ``the first 3 of 13 convolutions``."""
    if of == 1:
        return f"the only {noun}"
    return f"the first{'' if count == 1 else f' {count}'} of {of} {noun}s"


def _convolutions(found: Sequence[Row]) -> int:
    return sum(row.layers[0].kind in CONVOLUTIONS for row in found)


def _parameters(found: Sequence[Row], analysis: Analysis) -> Iterator[str]:
    """Name the layer with most parameters, and which of its kind it is."""
    if not analysis.parameters:
        return
    largest = max(found, key=lambda row: row.parameters)
    word = "most" if 2 * largest.parameters > analysis.parameters else "largest share of"
    share = _share(largest.parameters, analysis.parameters)
    yield f"{word} parameters in {largest.name} ({share}), {_place(largest, found)}"


def _place(row: Row, found: Sequence[Row]) -> str:
    """Return which of its kind a row is: ``the first fully-connected layer``."""
    noun = _noun(row)
    alike = [other for other in found if _noun(other) == noun]
    place = alike.index(row)
    if len(alike) == 1:
        return f"the only {noun}"
    if place == len(alike) - 1:
        return f"the last {noun}"
    return f"the {ORDINALS[place]} {noun}" if place < len(ORDINALS) else f"{noun} {place + 1}"


def _noun(row: Row) -> str:
    return NAMES.get(row.layers[0].kind, row.layers[0].kind.replace("_", " "))


def _arithmetic(found: Sequence[Row], analysis: Analysis) -> Iterator[str]:
    """Name the kind of layer with most multiply-accumulates, whatever its stride."""
    if not analysis.macs:
        return
    by_kind: dict[str, int] = {}
    for row in found:
        kind = label(row.layers[0]).partition("/")[0]
        by_kind[kind] = by_kind.get(kind, 0) + row.macs
    kind, macs = max(by_kind.items(), key=lambda item: item[1])
    word = "most" if 2 * macs > analysis.macs else "largest share of"
    yield f"{word} arithmetic in {kind} ({_share(macs, analysis.macs)})"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"
