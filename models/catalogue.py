"""The size of every listed network, kept in `catalogue.json` so that listing needs no torch.

``python -m models.catalogue`` writes the file anew; a test holds it to what the analyser counts.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec

from models.family import Spec
from models.registry import names, resolve
from models.whole_file import whole_file

PATH = Path(__file__).with_name("catalogue.json")
# In int8 such a network takes 10 MB, and a phone's core computes it in tens of milliseconds.
EDGE_PARAMETERS = 10_000_000
EDGE_MACS = 1_000_000_000


class Size(msgspec.Struct, frozen=True):
    """A network's figures for one image in float32, as `models.analysis` counts them."""

    parameters: int
    macs: int
    peak_activation_bytes: int

    @property
    def meant_for(self) -> str:
        """``edge`` if both parameters and MACs are within the limits above, else ``cloud``."""
        small = self.parameters <= EDGE_PARAMETERS and self.macs <= EDGE_MACS
        return "edge" if small else "cloud"


def size_of(spec: Spec) -> Size:
    """Return a network's figures: the kept ones, or counted now if it is not a listed one."""
    kept = _kept().get(spec.name)
    return kept or count(spec)


def is_kept(name: str) -> bool:
    """Tell whether a full name's figures are at hand."""
    return name in _kept()


@cache
def _kept() -> dict[str, Size]:
    return msgspec.json.decode(PATH.read_bytes(), type=dict[str, Size])


def count(spec: Spec) -> Size:
    """Count a network's figures. Imports torch."""
    from models.analysis import analyse_network

    found = analyse_network(spec)
    return Size(found.parameters, found.macs, found.peak_activation_bytes)


def write(path: Path = PATH, report: Callable[[str], None] = print) -> None:
    """Count every listed network and write the file, one line each."""
    lines = []
    for name in names():
        report(name)
        lines.append(f"  {json.dumps(name)}: {msgspec.json.encode(count(resolve(name))).decode()}")
    with whole_file(path) as scratch:
        scratch.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    write()
