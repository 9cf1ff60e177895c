"""The registry: every network by name, without importing torch.

A name is that of one network (``vgg16``), holds parameters (``mobilenet_v1_0.25_128``), or
names trained weights that come with the project (``lenet5@fashion-mnist``). A new family is one
file and one entry of `FAMILIES`.
"""

import difflib
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from models.family import Family, ModelError, Parameter, Published, Spec
from models.metadata import read_metadata

WEIGHTS = Path(__file__).resolve().parent / "weights"


def _width(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError(text)
    return value


def _resolution(text: str) -> int:
    value = int(text)
    if value < 32 or value % 32:
        raise ValueError(text)
    return value


_TORCHVISION = "torchvision, IMAGENET1K_V1"
_MOBILENET = "Howard et al., tables 6 and 7"

FAMILIES = (
    Family(
        name="lenet",
        factory="models.lenet:LeNet5",
        title="Gradient-Based Learning Applied to Document Recognition",
        year=1998,
        stem="features.0.weight",
        head="classifier.4.weight",
        networks={"lenet5": {}},
        aliases={"lenet": "lenet5"},
        classes=10,
        mean=(0.0784,),  # section II-B: pixels from -0.1 (background) to 1.175 (foreground)
        std=(0.7843,),
        resolution=28,
        crop=None,
    ),
    Family(
        name="vgg",
        factory="models.vgg:VGG",
        title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
        year=2014,
        stem="features.0.weight",
        head="classifier.6.weight",
        networks={"vgg16": {"depth": 16}},
        published={"vgg16": Published(71.592, 90.382, _TORCHVISION)},
    ),
    Family(
        name="resnet",
        factory="models.resnet:ResNet",
        title="Deep Residual Learning for Image Recognition",
        year=2015,
        stem="conv1.weight",
        head="fc.weight",
        networks={"resnet18": {"depth": 18}, "resnet50": {"depth": 50}},
        published={
            "resnet18": Published(69.758, 89.078, _TORCHVISION),
            "resnet50": Published(76.130, 92.862, _TORCHVISION),
        },
    ),
    Family(
        name="mobilenet",
        factory="models.mobilenet:MobileNetV1",
        title="MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        year=2017,
        stem="features.0.0.weight",
        head="classifier.weight",
        networks={"mobilenet_v1": {}},
        parameters={
            "width": Parameter((1.0, 0.75, 0.5, 0.25), 1.0, _width, "above 0 and at most 1"),
            "resolution": Parameter((224, 192, 160, 128), 224, _resolution, "a multiple of 32"),
        },
        aliases={"mobilenet": "mobilenet_v1"},
        published={
            "mobilenet_v1_1.0_224": Published(70.6, None, _MOBILENET),
            "mobilenet_v1_0.75_224": Published(68.4, None, _MOBILENET),
            "mobilenet_v1_0.5_224": Published(63.7, None, _MOBILENET),
            "mobilenet_v1_0.25_224": Published(50.6, None, _MOBILENET),
            "mobilenet_v1_1.0_192": Published(69.1, None, _MOBILENET),
            "mobilenet_v1_1.0_160": Published(67.2, None, _MOBILENET),
            "mobilenet_v1_1.0_128": Published(64.4, None, _MOBILENET),
        },
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
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
        ModelError: there is none; names the nearest, or the parameter that is out of its range.
    """
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
        channels=preprocessing.channels,
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
