"""The readings of a file of records: by several processes, one a core, where there are many.

Each process takes a stretch of the file, and hands back what is left of its records without their
samples: a tenth of what it read. What many records have in common is handed back once a stretch.
"""

import gc
import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import asdict

from bench import record_file
from bench.reading import CHUNK, Reading, made, readings, reduced
from bench.record import BenchError
from bench.record_file import COMMON
from bench.stats import Figures, Summary

# Shorter files are read sooner than other processes have begun.
LARGE = 128 << 20
STRETCH = 8 << 20


class _Flat(msgspec.Struct, frozen=True, array_like=True):
    """Figures whose arrays are bytes."""

    rounds: bytes
    medians: bytes
    p90s: bytes
    summary: Summary


def _type_sent() -> type[msgspec.Struct]:
    """Return a reading's type with numbers for what is common; without what `made` adds."""
    special: dict[str, Any] = {**dict.fromkeys(COMMON, int), "figures": _Flat | None}
    fields = [
        (one.name, special.get(one.name, one.type))
        for one in msgspec.structs.fields(Reading)
        if one.name not in {"key", "conditions", "name"}
    ]
    return msgspec.defstruct("_Sent", fields, frozen=True, array_like=True)


_Sent: Any = _type_sent()


class _Stretch(msgspec.Struct, frozen=True, array_like=True):
    """Readings, and by the field's name what is common to several, encoded."""

    common: dict[str, list[bytes]]
    readings: list[_Sent]


_STRETCHES = msgspec.msgpack.Decoder(_Stretch)


def read(path: Path, large: int = LARGE, stretch: int = STRETCH) -> Iterator[Reading]:
    """Yield the readings of a file of records, in their order.

    Args:
        path: the file.
        large: from so many bytes on several processes read it.
        stretch: so many bytes at a time.

    Raises:
        BenchError: no such file, or a line that is not a record; names the line.
    """
    if not path.is_file() or path.stat().st_size < large or _cores() < 2:
        yield from readings(record_file.read(path))
    else:
        yield from _read_together(path, stretch)


def _read_together(path: Path, stretch: int) -> Iterator[Reading]:
    known: dict[str, dict[bytes, Any]] = {name: {} for name in COMMON}
    waiting: deque[Future[bytes]] = deque()
    try:
        for start in range(0, path.stat().st_size, stretch):
            waiting.append(_crew().submit(_read_stretch, path, start, start + stretch))
            if len(waiting) > 2 * _cores():
                yield from _unpacked(waiting.popleft().result(), known)
        while waiting:
            yield from _unpacked(waiting.popleft().result(), known)
    except BenchError:
        deque(record_file.read(path), maxlen=0)  # names the line
        raise
    except BrokenProcessPool:
        raise BenchError(f"a process that read {path} was killed: is there memory left?") from None
    finally:
        for future in waiting:
            future.cancel()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _crew() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(_cores(), get_context("spawn"), _begin)


def _begin() -> None:
    """Leave Ctrl-C to the process that waits: it tells of it in one line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # records hold no cycles, and looking for some takes long


def _read_stretch(path: Path, start: int, end: int) -> bytes:
    """Return the readings, encoded, of the records that begin in these bytes of a file."""
    records, alike, sent = record_file.read(path, start, end), _Alike(), []
    while some := list(islice(records, CHUNK)):
        sent += [_sent(fields, alike) for fields in reduced(some)]
    return msgspec.msgpack.encode(_Stretch(alike.encoded(), sent))


class _Alike:
    """Numbers what is one object in several records."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, tuple[int, Any]]] = {name: {} for name in COMMON}

    def number(self, name: str, value: Any) -> int:
        """Return which of the field's values this is."""
        known = self._known[name]
        return known.setdefault(id(value), (len(known), value))[0]

    def encoded(self) -> dict[str, list[bytes]]:
        """Return each field's values in order."""
        encode = msgspec.msgpack.encode
        return {name: [encode(v) for _, v in known.values()] for name, known in self._known.items()}


def _sent(fields: dict[str, Any], alike: _Alike) -> Any:
    """Put numbers in the place of what is common, and bytes in that of arrays."""
    for name in COMMON:
        fields[name] = alike.number(name, fields[name])
    if known := fields["figures"]:
        arrays = (known.rounds.tobytes(), known.medians.tobytes(), known.p90s.tobytes())
        fields["figures"] = _Flat(*arrays, known.summary)
    return _Sent(**fields)


def _unpacked(data: bytes, known: dict[str, dict[bytes, Any]]) -> Iterator[Reading]:
    """Yield the readings of a stretch; `known` holds what was common to those before."""
    stretch = _STRETCHES.decode(data)
    common = {
        name: [_common(text, COMMON[name], known[name]) for text in texts]
        for name, texts in stretch.common.items()
    }
    for sent in stretch.readings:
        fields = asdict(sent)
        for name, values in common.items():
            fields[name] = values[fields[name]]
        if flat := fields["figures"]:
            fields["figures"] = _figures(flat)
        yield made(fields)


def _figures(flat: _Flat) -> Figures:
    rounds = np.frombuffer(flat.rounds)
    medians = rounds if flat.medians == flat.rounds else np.frombuffer(flat.medians)
    p90s = np.frombuffer(flat.p90s)
    return Figures(rounds=rounds, medians=medians, p90s=p90s, summary=flat.summary)


def _common(text: bytes, kind: Any, known: dict[bytes, Any]) -> Any:
    found = known.get(text)
    if found is None:
        found = known[text] = msgspec.msgpack.decode(text, type=kind)
    return found
