"""How long measuring a server over links may take, told before it begins. Pure."""

from collections.abc import Iterable, Sequence
from math import prod

from bench.matrix import Cell
from devices.network import Profile
from export.artifact import Tensor

# Requests of each process that are no samples: connecting, asking what is there, the first
# inference, the proofs, and those that begin its rounds.
BESIDE = 12
# Warming up may take as long as the samples: the first process, and all others together.
WARMING = 2
# Making the link, and finding the model.
SETTING_UP_S = 1.0


def longest_s(cell: Cell, link: Profile) -> float:
    """Return the seconds that a cell takes at most over a link, by what is sent at its rates."""
    contract, effort = cell.artifact.manifest.contract, cell.effort
    request_s = (
        link.rtt_ms / 1e3
        + _sent_s(contract.inputs, cell.batch, link.up_mbit)
        + _sent_s(contract.outputs, cell.batch, link.down_mbit)
    )
    requests = BESIDE * cell.processes + len(cell.artifact.manifest.golden or ())
    timed_s = effort.scenario.seconds if effort.scenario else effort.max_seconds
    samples_s = (1 + WARMING) * timed_s + (effort.sustained_s or 0.0)
    return SETTING_UP_S + samples_s + requests * request_s


def _sent_s(tensors: Sequence[Tensor], batch: int, mbit: float | None) -> float:
    bits = sum(32 * batch * prod(tensor.shape[1:]) for tensor in tensors)
    return bits / (mbit * 1e6) if mbit else 0.0


def told(over: Iterable[tuple[Cell, Profile]]) -> str:
    """Return one line: over how many links how many artifacts are measured, and for how long."""
    pairs = list(over)
    links = {link.name for _, link in pairs}
    keys = {cell.artifact.manifest.key for cell, _ in pairs}
    seconds = sum(longest_s(cell, link) for cell, link in pairs)
    each = max(cell.effort.max_seconds for cell, _ in pairs)
    return (
        f"{_count(links, 'link')} x {_count(keys, 'artifact')}: {_time(seconds)} at most "
        f"({each:g} s of samples each, and warming up); --max-seconds shortens it"
    )


def _count(things: set[str], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
