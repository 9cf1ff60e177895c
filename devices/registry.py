"""Which devices there are: `cpu`, `gpu`, those of devices.toml (the project's and the user's), and
those that are found.

A kind of device is one module, with `Settings` (the keys of its table) and `make`, plus one line in
`KINDS`: see docs/devices.md.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from operator import eq
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import platformdirs

from devices import android, cloud, exact, gpu, local, ssh, survey
from devices.device import ConfigError, Device, DeviceError, Limits, Step
from devices.discovery import Found
from devices.survey import Seen

FILE = "devices.toml"
# The keys of every kind.
# What TOML has, by the words of msgspec.
TYPES = {
    "array": "a list", "bool": "true or false", "float": "a number", "int": "a whole number",
    "object": "a table", "str": "text",
}  # fmt: skip
OF_ALL = ("kind", "labels", "limits")
NAME = re.compile(r"[A-Za-z0-9_-]+")
# The facts that a person knows a device by.
KNOWN_BY = ("model", "product", "serial", "processor")


class Kind(NamedTuple):
    """How a table becomes a device: its keys, besides kind and labels, and what they make.

    Attributes:
        settings: the keys.
        make: takes a name and the settings; asks the device nothing.
        discover: finds devices that nobody told of, None where there is nothing to be found.
        steps: what `devices check` tries of such a device before its worker and runtimes.
        prepare: makes what such a device needs on this machine, when one is added.
        absence: says in one line why `discover` finds nothing and what to do.
    """

    settings: type[msgspec.Struct]
    make: Callable[[str, Any], Device]
    discover: Callable[[], Iterable[Found]] | None = None
    steps: Callable[[Any], Iterator[Step]] | None = None
    absence: Callable[[], str] | None = None
    prepare: Callable[[Any, Callable[[str], None]], None] | None = None


KINDS = {
    "local": Kind(local.Settings, local.make),
    "gpu": Kind(gpu.Settings, gpu.make),
    "ssh": Kind(ssh.Settings, ssh.make, steps=ssh.steps),
    "android": Kind(
        android.Settings,
        android.make,
        android.discover,
        android.steps,
        android.absence,
        android.prepare,
    ),
    "cloud": Kind(cloud.Settings, cloud.make, steps=cloud.steps),
    exact.KIND: Kind(exact.Settings, exact.make, prepare=exact.prepare),
}


class Entry(NamedTuple):
    """A device and the labels that also find it."""

    device: Device
    labels: tuple[str, ...]


def paths() -> tuple[Path, Path]:
    """Return where a devices.toml may be: the user's, then the project's."""
    return Path(platformdirs.user_config_dir("edgeworthy")) / FILE, Path(FILE)


def entries() -> dict[str, Entry]:
    """Return the devices by name: `cpu`, `gpu`, `arm64-exact`, the user's, and the project's.

    Those that come later win.

    Raises:
        ConfigError: a devices.toml is wrong; names the file and the key.
    """
    own = (local.LocalDevice(), gpu.GpuDevice(), exact.ExactDevice())
    found = {device.name: Entry(device, ()) for device in own}
    for path in paths():
        if path.exists():
            found.update(parse(read(path), str(path)))
    return found


def all_devices() -> list[Seen]:
    """Return every device with its state, within `survey.LIMIT_S` seconds.

    Raises:
        ConfigError: a devices.toml is wrong; names the file and the key.
    """
    return survey.look(entries(), KINDS)


def find(name: str) -> Device:
    """Return the device with a name or label, ``gpu:1`` for a further GPU, the server
    of ``cloud:URL``; else the only one that
    is known by it: by a name or label in other case, its model, parts of it, or its serial.

    Raises:
        DeviceError: there is none, or it is not ready to be asked.
        ConfigError: several fit, or a devices.toml is wrong.
    """
    found = entries()
    if name in found:
        return found[name].device
    if further := gpu.named(name) or cloud.named(name):
        return further
    labelled = [key for key, entry in found.items() if name in entry.labels]
    if len(labelled) > 1:
        raise ConfigError(f"label '{name}' fits {', '.join(labelled)}: give one of these names")
    if labelled:
        return found[labelled[0]].device
    seen = survey.look(found, KINDS)
    one = match(name, seen)
    if one is None:
        raise DeviceError(unknown(name, seen))
    if one.device is None:
        raise DeviceError(f"device '{one.name}' is {one.state}: {one.reason}")
    return one.device


def match(name: str, seen: Sequence[Seen]) -> Seen | None:
    """Return the only device that is known by `name`, or else by words of which it is a part.

    Raises:
        ConfigError: several are.
    """
    wanted = _words(name)
    for fits in (eq, _is_part):
        fitting = [s for s in seen if any(fits(wanted, _words(text)) for text in _known_by(s))]
        if len(fitting) > 1:
            told = ", ".join(f"{s.name} ({_model(s)})" for s in fitting)
            raise ConfigError(f"'{name}' fits {told}: give one of these names")
        if fitting:
            return fitting[0]
    return None


def _is_part(words: list[str], whole: list[str]) -> bool:
    starts = range(len(whole) - len(words) + 1)
    return bool(words) and any(whole[n : n + len(words)] == words for n in starts)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _known_by(seen: Seen) -> list[str]:
    facts = seen.info.facts if seen.info else {}
    return [seen.name, *seen.labels, *(facts[name] for name in KNOWN_BY if name in facts)]


def _model(seen: Seen) -> str:
    return next((text for text in _known_by(seen)[1:]), seen.kind)


def unknown(name: str, seen: Sequence[Seen]) -> str:
    """Return in one line that no device of those `seen` is known by `name`, and what to do."""
    there = ", ".join(map(_told, seen))
    meant, kinds = _near_miss(name, seen), {s.kind for s in seen}
    absent = [kind.absence for key, kind in KINDS.items() if key not in kinds and kind.absence]
    closed = [f"it may be {_told(s)}" for s in seen if s.state == "unauthorised"]
    return "; ".join(
        [
            f"no device named '{name}'{meant}, nor with such a label, model or serial",
            *closed,
            f"there is: {there}",
            *(tell() for tell in absent if not meant),
            "see 'edgeworthy devices list', or add one with "
            "'edgeworthy devices add NAME --kind ssh --host USER@ADDRESS'",
        ]
    )


def _near_miss(name: str, seen: Sequence[Seen]) -> str:
    """Suggest what is written like `name`: a name, label, model or serial, or a word of one."""
    known = {text.casefold(): text for s in seen for text in _known_by(s)}
    words = {word: text for text in known.values() for word in _words(text)}
    close = get_close_matches(name.casefold(), [*known, *words], n=1)
    return f" (did you mean '{(known | words)[close[0]]}'?)" if close else ""


def _told(seen: Seen) -> str:
    """Return a device's name, with what is wrong where somebody could mend it at once."""
    why = f": {seen.reason}" if seen.state == "unauthorised" else ""
    return seen.name if seen.state == "ready" else f"{seen.name} ({seen.state}{why})"


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
    given = {key: keys.pop(key) for key in OF_ALL if key in keys}
    chosen = kind(given.get("kind", "local"), f"{source}: {where}.kind")
    _check_keys(keys, [*chosen.settings.__struct_fields__, *OF_ALL], source, f"{where}.")
    if isinstance(limits := given.get("limits"), dict):
        _check_keys(limits, [*Limits.__struct_fields__], source, f"{where}.limits.")
    try:
        device = chosen.make(name, msgspec.convert(keys, chosen.settings))
        rest = msgspec.convert(given, _OfAll)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: [{where}]: {_plainly(error)}") from None
    device.limits = rest.limits
    return Entry(device, rest.labels)


class _OfAll(msgspec.Struct, frozen=True):
    """What the tables of all kinds may hold besides their kind."""

    labels: tuple[str, ...] = ()
    limits: Limits = Limits()


def _plainly(error: Exception) -> str:
    """Return what is wrong with a table in words of devices.toml."""
    if missing := re.search(r"missing required field `(\w+)`", str(error)):
        return f"it needs the key {missing[1]}, see docs/devices.md"
    found = re.fullmatch(r"Expected `(.+)`, got `(\w+)` - at `\$\.(.+)`", str(error))
    if found is None:
        return str(error)
    expected = " or ".join(
        TYPES.get(word, word) for word in found[1].removesuffix(" | null").split(" | ")
    )
    return f"{found[3]}: expected {expected}, not {TYPES.get(found[2], found[2])}"


def kind(name: Any, where: str) -> Kind:
    """Return the kind with a name; `where` says who asks for it.

    Raises:
        ConfigError: there is none.
    """
    if isinstance(name, str) and name in KINDS:
        return KINDS[name]
    raise ConfigError(
        f"{where}: no kind '{name}'{near(str(name), list(KINDS))}; there is: {', '.join(KINDS)}"
    )


def _check_keys(table: Mapping[str, Any], known: list[str], source: str, prefix: str) -> None:
    for key in table:
        if key not in known:
            there = f"; there is: {', '.join(known)}"
            raise ConfigError(f"{source}: unknown key {prefix}{key}{near(key, known)}{there}")


def near(word: str, known: Sequence[str]) -> str:
    """Return a question for the known word that is most like this one, empty if none is."""
    close = get_close_matches(word, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def read(path: Path) -> str:
    """Return the text of a devices.toml.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read {path}: it is not text in UTF-8") from None
