"""Files of records: a line of JSON each, appended whole or not at all, read a line at a time."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from bench.record import SCHEMA, BenchError, Record, Settings
from devices.device import DeviceInfo
from export.artifact import Manifest, Proof

_BLOCK = 1 << 16
# So much of a file is read at once: many lines.
_READ = 1 << 20

Line = TypeVar("Line", bound=msgspec.Struct)


def check_writable(path: Path) -> None:
    """Find out before a long run whether records can be appended to `path`; parents are created.

    Raises:
        BenchError: they cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        path.open("ab").close()
        if new:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def append(path: Path, record: msgspec.Struct) -> None:
    """Append a record, or a profile, as one line to a JSONL file, and flush it to the disk before
    returning.

    A last line without its newline, left by a killed process, is cut away first; and where the
    line cannot be written whole, nothing of it stays. Writers take turns.

    Raises:
        BenchError: the file cannot be written to.
    """
    line = msgspec.json.encode(record) + b"\n"
    try:
        with path.open("a+b", buffering=0) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            _cut_torn_line(stream)
            _write_whole(stream, line)
            os.fsync(stream.fileno())
    except OSError as error:
        raise _unwritable(path, error) from None


def _cut_torn_line(stream: FileIO) -> None:
    """Truncate to the end of the last whole line, looking backwards block by block."""
    end = size = stream.seek(0, os.SEEK_END)
    whole = 0
    while end and not whole:
        start = max(0, end - _BLOCK)
        stream.seek(start)
        newline = stream.read(end - start).rfind(b"\n")
        whole = start + newline + 1 if newline >= 0 else 0
        end = start
    if whole < size:
        stream.truncate(whole)


def _write_whole(stream: FileIO, line: bytes) -> None:
    before = stream.seek(0, os.SEEK_END)
    try:
        if stream.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        with suppress(OSError):
            stream.truncate(before)
        raise


def _unwritable(path: Path, error: OSError) -> BenchError:
    return BenchError(
        f"cannot write records to {path}: {error.strerror}; choose another file with --out FILE"
    )


def read(path: Path, start: int = 0, end: int | None = None) -> Iterator[Record]:
    """Yield the records of a JSONL file one at a time.

    Manifests and devices that are equal to the byte are one object in all of them. A last line
    without its newline, as a killed process may leave, is passed over.

    Args:
        path: the file.
        start: bytes of it; a line that began before is left out. Messages count lines from here.
        end: likewise; a line that begins there or later is left out, None of none.

    Raises:
        BenchError: no such file, or a line that is not a record; names the line.
    """
    try:
        stream = path.open("rb", buffering=_READ)
    except OSError as error:
        raise BenchError(
            f"cannot read {path}: {error.strerror}; make records with 'bench run --out {path}'"
        ) from None
    with stream:
        decoder = _Decoder()
        for number, line in enumerate(_lines(stream, start, end), 1):
            if line.endswith(b"\n") and line.strip():
                yield decoder.decode(line, f"{path}:{number}")


def _lines(stream: BinaryIO, start: int, end: int | None) -> Iterator[bytes]:
    """Yield the lines that begin between two bytes."""
    place = start
    if start:
        place = stream.seek(start - 1) + len(stream.readline())
    for line in stream:
        if end is not None and place >= end:
            return
        yield line
        place += len(line)


# What many records have in common, and what takes longest to decode.
COMMON: dict[str, Any] = {
    "manifest": Manifest,
    "device": DeviceInfo,
    "settings": Settings,
    "proof": Proof,
    "environment": dict[str, str],
}


class _Decoder:
    """Decodes lines; what they have in common is decoded once, and is one object in all records."""

    def __init__(self) -> None:
        self._known: dict[bytes, Any] = {}
        self._last: dict[str, tuple[msgspec.Raw, Any]] = {}

    def decode(self, line: bytes, where: str) -> Record:
        """Return the record of a line.

        Raises:
            BenchError: it holds none.
        """
        try:
            fields = msgspec.structs.asdict(_LINES.decode(line))
            if fields["schema"] > SCHEMA:
                return _decode(line, where)
            for name in COMMON:
                fields[name] = self._common(name, fields[name])
            return Record(**fields)
        except (msgspec.MsgspecError, ValueError):
            return _decode(line, where)  # slower, and says what is wrong, and where

    def _common(self, name: str, text: msgspec.Raw) -> Any:
        """Return what a text holds: mostly that of the line before."""
        last, found = self._last.get(name, (None, None))
        if text != last:
            key = bytes(text)
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = msgspec.json.decode(key, type=COMMON[name])
            self._last[name] = text.copy(), found
        return found


def _line() -> type[msgspec.Struct]:
    """Return a record's type in which what is common is left as text."""
    empty = msgspec.Raw(b"{}")
    fields: list[tuple[str, Any, Any]] = []
    for one in msgspec.structs.fields(Record):
        kind, default = (msgspec.Raw, empty) if one.name in COMMON else (one.type, one.default)
        absent = msgspec.field() if one.required else msgspec.field(default=default)
        fields.append((one.name, kind, absent))
    return msgspec.defstruct("_Line", fields, kw_only=True, forbid_unknown_fields=True)


_LINES = msgspec.json.Decoder(_line())


def _decode(line: bytes, where: str) -> Record:
    return decode(line, where, Record, "record", SCHEMA)


def decode(line: bytes, where: str, kind: type[Line], noun: str, latest: int) -> Line:
    """Return what a line holds.

    Args:
        line: JSON with a field ``schema``.
        where: it stands, for the message.
        kind: what it should be.
        noun: what that is called.
        latest: the last schema of it that this version reads.

    Raises:
        BenchError: it is something else, or of a later schema.
    """
    schema = _schema_of(line)
    if schema is not None and schema > latest:
        raise BenchError(
            f"{where} has schema {schema}, this edgeworthy reads up to {latest}: upgrade it"
        )
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise BenchError(f"{where} is not a {noun}: {error}") from None


def _schema_of(line: bytes) -> int | None:
    try:
        value: Any = msgspec.json.decode(line)
    except msgspec.MsgspecError:
        return None
    schema = value.get("schema") if isinstance(value, dict) else None
    return schema if isinstance(schema, int) else None
