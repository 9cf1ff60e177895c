"""Adding devices to a devices.toml and removing them, the rest of the file left as it is."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from devices import registry
from devices.device import ConfigError

EMPTY: tuple[Any, ...] = (None, "", [])


def add(name: str, table: Mapping[str, Any], path: Path) -> None:
    """Add a device to a devices.toml, keeping what is there, in one step.

    Args:
        name: the device's name.
        table: its keys; None and empty values are left out.
        path: the file, made if need be.

    Raises:
        ConfigError: the name is taken, the table is wrong, or the file cannot be written.
    """
    old = check_free(name, path)
    text = (old.rstrip("\n") + "\n\n" if old.strip() else "") + _table(name, table)
    registry.parse(text, str(path))
    _write(path, text)


def check_free(name: str, path: Path) -> str:
    """Return the text of a devices.toml, empty if there is none, in which a name is not taken.

    Raises:
        ConfigError: it is, or the file is wrong.
    """
    text = registry.read(path) if path.is_file() else ""
    if name in registry.parse(text, str(path)):
        raise ConfigError(
            f"device '{name}' is in {path} already; choose another name, edit it there, or type "
            f"'edgeworthy devices remove {name}'"
        )
    return text


def remove(name: str) -> Path:
    """Remove a device from the devices.toml that has it, the project's first; return which.

    Raises:
        ConfigError: none has it, or its table cannot be told from the rest of the file.
    """
    paths = [path for path in registry.paths() if path.is_file()][::-1]
    there: list[str] = []
    for path in paths:
        text = registry.read(path)
        known = registry.parse(text, str(path))
        if name in known:
            left = _without(name, text)
            if registry.parse(left, str(path)).keys() != known.keys() - {name}:
                raise ConfigError(f"{path} is not written in tables: take '{name}' out by hand")
            _write(path, left)
            return path
        there += known
    near = registry.near(name, there)
    listed = ", ".join(there) or "nothing"
    raise ConfigError(f"no device '{name}' in {registry.FILE}{near}; there is: {listed}")


def _without(name: str, text: str) -> str:
    """Leave out a device's table and those within it, each from its header to the next one."""
    own = re.compile(rf"\[\s*devices\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*[\].]")
    kept, inside = list[str](), False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = own.match(line.lstrip()) is not None
        if not inside:
            kept.append(line)
    return "".join(kept)


def _table(name: str, table: Mapping[str, Any]) -> str:
    """Return a TOML table; a JSON string or list of them is TOML too."""
    lines = [f"{k} = {msgspec.json.encode(v).decode()}" for k, v in table.items() if v not in EMPTY]
    header = name if registry.NAME.fullmatch(name) else msgspec.json.encode(name).decode()
    return "\n".join([f"[devices.{header}]", *lines]) + "\n"


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


def options(words: Sequence[str], kind: str) -> dict[str, Any]:
    """Return the keys of a table from what was typed for them, as ``--cpus 0-1``.

    Args:
        words: options and their values, in turn, or joined by an equals sign.
        kind: whose `Settings` have the keys.

    Raises:
        ConfigError: there is no such kind or option, or a value is missing or of another type.
    """
    settings = registry.kind(kind, "--kind").settings
    types = {field.encode_name: field.type for field in msgspec.structs.fields(settings)}
    table: dict[str, Any] = {}
    rest = list(words)
    while rest:
        option, joined, value = rest.pop(0).partition("=")
        key = option.removeprefix("--").replace("-", "_")
        if not option.startswith("--") or key not in types:
            raise ConfigError(_no_such(option, kind, list(types)))
        if not joined and not rest:
            raise ConfigError(f"{option} needs a value")
        table[key] = _value(option, value if joined else rest.pop(0), types[key])
    for field in msgspec.structs.fields(settings):
        if field.required and field.encode_name not in table:
            raise ConfigError(f"kind {kind} needs {_option(field.encode_name)} VALUE")
    return table


def settings(keys: Mapping[str, Any], kind: str) -> msgspec.Struct:
    """Return the settings of a kind that has these keys: see `options`."""
    return msgspec.convert(keys, registry.kind(kind, "--kind").settings)


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")


def _no_such(option: str, kind: str, keys: list[str]) -> str:
    known = [_option(key) for key in keys]
    there = ", ".join([*known, "--label"])
    return f"no option '{option}' for kind {kind}{registry.near(option, known)}; there is: {there}"


def _value(option: str, text: str, kind: Any) -> Any:
    """Return the reading of a text that its type allows: as it is, as numbers, or as words."""
    for reading in (text, _numbers(text), [word.strip() for word in text.split(",")]):
        try:
            return msgspec.to_builtins(msgspec.convert(reading, kind, strict=False))
        except msgspec.ValidationError as error:
            wrong = str(error)
    raise ConfigError(f"{option} {text}: expected {', '.join(_allowed(kind)) or wrong}")


def _allowed(kind: Any) -> list[str]:
    """Return what a type allows, besides text: its words, and what numbers."""
    kinds, named = (kind, *get_args(kind)), str(kind)
    words = [str(word) for k in kinds if get_origin(k) is Literal for word in get_args(k)]
    numbers = "numbers, as 0-1 or 0,2" if "tuple[int" in named else "a whole number"
    truth = ["true or false"] if "bool" in named else []
    return [*words, *([numbers] if "int" in named else []), *truth]


def _numbers(text: str) -> list[int]:
    """Return the numbers of a list like ``0-1,4``, none where it is something else."""
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        several = range(int(found[1]), int(found[2] or found[1]) + 1) if found else range(0)
        if not several:
            return []
        numbers.update(several)
    return sorted(numbers)
