"""Which devices there are: `cpu`, `gpu`, and those of devices.toml, the project's and the user's.

A kind of device is one module, with `Settings` (the keys of its table) and `make`, plus one line in
`KINDS`.
"""

import os
import re
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import platformdirs

from devices import gpu, local, ssh
from devices.device import ConfigError, Device, DeviceError

FILE = "devices.toml"
NAME = re.compile(r"[A-Za-z0-9_-]+")


class Kind(NamedTuple):
    """How a table becomes a device: its keys, besides kind and labels, and what they make."""

    settings: type[msgspec.Struct]
    make: Callable[[str, Any], Device]


KINDS = {
    "local": Kind(local.Settings, local.make),
    "gpu": Kind(gpu.Settings, gpu.make),
    "ssh": Kind(ssh.Settings, ssh.make),
}


class Entry(NamedTuple):
    """A device and the labels that also find it."""

    device: Device
    labels: tuple[str, ...]


def entries() -> dict[str, Entry]:
    """Return the devices by name: `cpu`, `gpu`, then the user's, then the project's, which win.

    Raises:
        ConfigError: a devices.toml is wrong; names the file and the key.
    """
    found = {"cpu": Entry(local.LocalDevice(), ()), "gpu": Entry(gpu.GpuDevice(), ())}
    for path in (Path(platformdirs.user_config_dir("edgeworthy")) / FILE, Path(FILE)):
        if path.is_file():
            found.update(parse(_read(path), str(path)))
    return found


def find(name: str) -> Device:
    """Return the device with a name, ``gpu:1`` for a further GPU, or the only one with a label.

    Raises:
        DeviceError: there is none.
        ConfigError: several have the label, or a devices.toml is wrong.
    """
    found = entries()
    if name in found:
        return found[name].device
    if further := gpu.named(name):
        return further
    labelled = [key for key, entry in found.items() if name in entry.labels]
    if not labelled:
        raise DeviceError(_unknown(name, found))
    if len(labelled) > 1:
        raise ConfigError(f"label '{name}' fits {', '.join(labelled)}: give one of these names")
    return found[labelled[0]].device


def _unknown(name: str, found: dict[str, Entry]) -> str:
    labels = [label for entry in found.values() for label in entry.labels]
    return (
        f"no device named '{name}'{_near(name, [*found, *labels])}; there is: {', '.join(found)}; "
        "add one with 'edgeworthy devices add NAME --kind local --cpus 0-1' "
        "(phones over adb and boards over SSH are not supported by this version yet)"
    )


def parse(text: str, source: str) -> dict[str, Entry]:
    """Return the devices that the text of a devices.toml describes; `source` is its name.

    Raises:
        ConfigError: it is not TOML, or a key, a kind or a value is wrong.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: {error}") from None
    _check_keys(tables, ["devices"], source, "")
    devices = tables.get("devices", {})
    if not isinstance(devices, dict):
        raise ConfigError(f"{source}: devices must hold tables, as [devices.NAME]")
    return {name: _entry(name, table, source) for name, table in devices.items()}


def _entry(name: str, table: Any, source: str) -> Entry:
    where = f"devices.{name}"
    if not NAME.fullmatch(name) or name == "cpu":
        reason = "the machine itself, always there" if name == "cpu" else "not of A-Z a-z 0-9 _ -"
        raise ConfigError(f"{source}: [{where}]: the name '{name}' is {reason}; choose another")
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: [{where}] must be a table")
    keys = dict(table)
    kind_name, labels = keys.pop("kind", "local"), keys.pop("labels", [])
    kind = KINDS.get(kind_name) if isinstance(kind_name, str) else None
    if kind is None:
        near = _near(str(kind_name), list(KINDS))
        there = ", ".join(KINDS)
        raise ConfigError(f"{source}: {where}.kind: no kind '{kind_name}'{near}; there is: {there}")
    _check_keys(keys, [*kind.settings.__struct_fields__, "kind", "labels"], source, f"{where}.")
    try:
        settings = msgspec.convert(keys, kind.settings)
        return Entry(kind.make(name, settings), msgspec.convert(labels, tuple[str, ...]))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: [{where}]: {error}") from None


def _check_keys(table: dict[str, Any], known: list[str], source: str, prefix: str) -> None:
    for key in table:
        if key not in known:
            there = f"; there is: {', '.join(known)}"
            raise ConfigError(f"{source}: unknown key {prefix}{key}{_near(key, known)}{there}")


def _near(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None


def add(name: str, table: dict[str, Any], path: Path) -> None:
    """Add a device to a devices.toml, keeping what is there, in one step.

    Args:
        name: the device's name.
        table: its keys; None and empty values are left out.
        path: the file, made if need be.

    Raises:
        ConfigError: the name is taken, the table is wrong, or the file cannot be written.
    """
    old = _read(path) if path.is_file() else ""
    taken = parse(old, str(path))
    if name in taken:
        raise ConfigError(f"device '{name}' is in {path} already; choose another name or edit it")
    text = (old.rstrip("\n") + "\n\n" if old.strip() else "") + _table(name, table)
    parse(text, str(path))
    _write(path, text)


def _table(name: str, table: dict[str, Any]) -> str:
    """Return a TOML table; a JSON string or list of them is TOML too."""
    lines = [f"{k} = {msgspec.json.encode(v).decode()}" for k, v in table.items() if v]
    header = name if NAME.fullmatch(name) else msgspec.json.encode(name).decode()
    return "\n".join([f"[devices.{header}]", *lines]) + "\n"


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
