"""The registry: every network by name, without importing torch.

A name is that of one network (``vgg16``), holds parameters (``mobilenet_v1_0.25_128``), or
names trained weights that come with the project (``lenet5@fashion-mnist``); names joined by + are
an ensemble. A new family is its networks (``models/NAME.py``), its card (``models/cards/NAME.py``)
and a line in `FAMILIES`.
"""

import difflib
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from models.cards import alexnet, alphago, googlenet, lenet, mobilenet, nin, resnet, vgg
from models.cards.ensemble import JOIN, joined
from models.family import ModelError, Spec
from models.metadata import read_metadata

WEIGHTS = Path(__file__).resolve().parent / "weights"


FAMILIES = (
    *lenet.FAMILIES,
    *alexnet.FAMILIES,
    *vgg.FAMILIES,
    *nin.FAMILIES,
    *googlenet.FAMILIES,
    *alphago.FAMILIES,
    *resnet.FAMILIES,
    *mobilenet.FAMILIES,
)


def names() -> list[str]:
    """Return the full names to list: the papers' own networks, then those that come trained."""
    return [name for family in FAMILIES for name in family.listed()] + sorted(trained())


def trained() -> dict[str, Path]:
    """Return the weights files that come with the project, by ``NAME@DATASET``."""
    return {path.stem: path for path in WEIGHTS.glob("*@*.safetensors")}


def resolve(name: str) -> Spec:
    """Return the network of a name or alias.

    Raises:
        ModelError: there is none; names the nearest, or the parameter that is out of its range, or
            the members of an ensemble that do not agree.
    """
    if JOIN in name:
        return joined([resolve(member) for member in name.split(JOIN)])
    base, at, tag = name.partition("@")
    base = _aliases().get(base, base)
    for family in FAMILIES:
        if spec := family.find(base):
            return _with_weights(spec, f"{spec.name}@{tag}") if at else spec
    raise _unknown(name)


def _with_weights(spec: Spec, name: str) -> Spec:
    path = trained().get(name)
    if path is None:
        raise _unknown(name)
    words = read_metadata(path)
    preprocessing = words.preprocessing or spec.preprocessing
    return replace(
        spec,
        name=name,
        weights=path,
        preprocessing=preprocessing,
        channels=preprocessing.channels if preprocessing else spec.channels,
        classes=len(words.class_names or ()) or spec.classes,
        published=None,
    )


def expand(patterns: Iterable[str]) -> list[str]:
    """Return the full names that names, aliases, shell patterns and ``all`` stand for, each once.

    Raises:
        ModelError: one of them matches nothing.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        found.update(dict.fromkeys(_expand(pattern)))
    return list(found)


def _expand(pattern: str) -> list[str]:
    if not set(pattern) & set("*?[") and pattern != "all":
        return [resolve(pattern).name]
    wanted = "*" if pattern == "all" else pattern
    matches = [name for name in names() if fnmatchcase(name, wanted)]
    if not matches:
        raise ModelError(f"no model matches '{pattern}'; list them with 'edgeworthy models list'")
    return matches


@cache
def _aliases() -> dict[str, str]:
    return {alias: name for family in FAMILIES for alias, name in family.aliases.items()}


def _unknown(name: str) -> ModelError:
    known = {*_aliases(), *names()} | {n for family in FAMILIES for n in family.networks}
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return ModelError(f"no model named '{name}'{hint}; list them with 'edgeworthy models list'")
