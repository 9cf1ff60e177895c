"""The budgets: what `bench check` demands, read from TOML into plain data.

[tool.edgeworthy]                       # in pyproject.toml; top level in edgeworthy.toml
baseline = "edgeworthy-baseline.json"

[[tool.edgeworthy.budget]]
artifact = "mobilenet*/tflite-int8"     # a shell pattern; default "*"
device = "cpu"                          # a shell pattern; default "*"
max-size = "1.2 MB"
max-latency-growth = "10%"
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.record import BenchError

Group = Literal["size", "latency", "memory", "accuracy", "contract"]
GROUPS: tuple[Group, ...] = ("size", "latency", "memory", "accuracy", "contract")
BASELINE = Path("edgeworthy-baseline.json")

UNITS: dict[str, dict[str, float]] = {
    "bytes": {
        "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
    },
    "time": {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9},
    "share": {"%": 0.01},
    "points": {"": 0.01, "points": 0.01},
    "energy": {"J": 1, "mJ": 1e-3, "uJ": 1e-6},
}  # fmt: skip


@dataclass(frozen=True)
class Limit:
    """One kind of rule. `growth`: the figure is judged against the baseline's."""

    group: Group
    unit: str
    example: str
    growth: bool = False

    @property
    def measured(self) -> bool:
        """Tell whether the rule needs records; size and contract are the artifact's own."""
        return self.group in ("latency", "memory", "accuracy")


LIMITS = {
    "max-size": Limit("size", "bytes", "1.2 MB"),
    "max-size-growth": Limit("size", "share", "1%", growth=True),
    "max-latency": Limit("latency", "time", "5 ms"),
    "max-latency-growth": Limit("latency", "share", "10%", growth=True),
    "max-memory": Limit("memory", "bytes", "100 MB"),
    "max-memory-growth": Limit("memory", "share", "10%", growth=True),
    "min-accuracy": Limit("accuracy", "share", "90%"),
    "max-accuracy-drop": Limit("accuracy", "points", "0.5", growth=True),
    "contract": Limit("contract", "word", "unchanged", growth=True),
}
SELECTORS = ("artifact", "device")


@dataclass(frozen=True)
class Rule:
    """One limit on the artifacts and devices that fit two patterns.

    `value` is in bytes, nanoseconds or a fraction (0 for a contract); `text` is what was written.
    """

    name: str
    artifact: str
    device: str
    value: float
    text: str

    @property
    def limit(self) -> Limit:
        """Return what kind of rule this is."""
        return LIMITS[self.name]

    def __str__(self) -> str:
        return f"{self.name} {self.text}"


@dataclass(frozen=True)
class Budgets:
    """All rules of one file. `source` None: no file with edgeworthy's settings was found."""

    rules: tuple[Rule, ...]
    baseline: Path
    source: Path | None

    def only(self, groups: Iterable[Group]) -> tuple[Rule, ...]:
        """Return the rules that belong to `groups`."""
        wanted = set(groups)
        return tuple(rule for rule in self.rules if rule.limit.group in wanted)


def quantity(value: object, unit: str, example: str) -> float:
    """Read ``"1.2 MB"`` as a number in the base unit of `unit`, a key of `UNITS`.

    Raises:
        ValueError: no number, no unit where one is needed, or one that does not belong; the
            message gives `example`.
    """
    units = UNITS[unit]
    text = str(value) if isinstance(value, (int, float, str)) else ""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z%]*)\s*", text)
    if match is None or isinstance(value, bool):
        raise ValueError(f'{value!r} is not a quantity; write it like "{example}"')
    number, name = match.groups()
    if name not in units:
        wrong = f"has the unknown unit {name!r}" if name else "has no unit"
        known = ", ".join(u for u in units if u)
        raise ValueError(f'{value!r} {wrong}; use one of {known}, as in "{example}"')
    return float(number) * units[name]


def find(directory: Path) -> Budgets:
    """Read ``edgeworthy.toml``, or else ``pyproject.toml``, in `directory`.

    Raises:
        BenchError: the file's settings are wrong (see `read`).
    """
    for path in (directory / "edgeworthy.toml", directory / "pyproject.toml"):
        if path.is_file() and (settings := _settings(path)) is not None:
            return _budgets(settings, path)
    return Budgets(rules=(), baseline=directory / BASELINE, source=None)


def read(path: Path) -> Budgets:
    """Read the budgets of one TOML file; a relative `baseline` is found beside the file.

    Raises:
        BenchError: no such file, not TOML, an unknown key (with near misses), or a value without
            its unit; names the file and the key.
    """
    settings = _settings(path)
    if settings is None:
        raise BenchError(
            f"{path} has no [tool.edgeworthy]; add one with [[tool.edgeworthy.budget]]"
        )
    return _budgets(settings, path)


def _settings(path: Path) -> dict[str, Any] | None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(
            f"cannot read {path}: {error.strerror}; name the file of budgets with --config FILE"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} is not TOML: {error}") from None
    if path.name != "pyproject.toml":
        return document
    settings = _table(document.get("tool", {}), "[tool]", path).get("edgeworthy")
    return _table(settings, "[tool.edgeworthy]", path) if settings is not None else None


def _budgets(settings: dict[str, Any], path: Path) -> Budgets:
    _known(settings, ("baseline", "budget"), f"{path}: ")
    baseline = settings.get("baseline", str(BASELINE))
    budgets = settings.get("budget", [])
    if not isinstance(baseline, str):
        raise BenchError(f"{path}: baseline must be a file name, not {baseline!r}")
    if not isinstance(budgets, list):
        raise BenchError(f"{path}: 'budget' is written [[budget]], with two brackets")
    rules = [rule for n, budget in enumerate(budgets, 1) for rule in _rules(budget, n, path)]
    return Budgets(rules=tuple(rules), baseline=path.parent / baseline, source=path)


def _rules(budget: object, number: int, path: Path) -> Iterator[Rule]:
    where = f"{path}: budget {number}: "
    table = _table(budget, f"budget {number}", path)
    _known(table, (*SELECTORS, *LIMITS), where)
    artifact, device = (table.get(key, "*") for key in SELECTORS)
    if not isinstance(artifact, str) or not isinstance(device, str):
        raise BenchError(f'{where}artifact and device are patterns, such as "mobilenet*"')
    limits = {key: value for key, value in table.items() if key in LIMITS}
    if not limits:
        raise BenchError(f'{where}it limits nothing; add a line such as max-size = "1.2 MB"')
    for key, value in limits.items():
        yield Rule(key, artifact, device, _value(key, value, where), str(value).strip())


def _value(key: str, value: object, where: str) -> float:
    limit = LIMITS[key]
    if limit.unit == "word":
        if value != limit.example:
            raise BenchError(f'{where}{key} can only be "{limit.example}", not {value!r}')
        return 0.0
    try:
        return quantity(value, limit.unit, limit.example)
    except ValueError as error:
        raise BenchError(f"{where}{key} = {error}") from None


def _table(value: object, name: str, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BenchError(f"{path}: {name} must be a table of keys and values, not {value!r}")
    return value


def _known(table: dict[str, Any], names: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in names:
            raise BenchError(f"{where}unknown key {key!r}; {near_miss(key, names)}")


def near_miss(word: str, names: Sequence[str]) -> str:
    """Say which of `names` was meant by a word that is none of them, or which there are."""
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
