"""What the registry holds: families of networks as data, and the names they answer to."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Literal

from models.preprocess import Preprocessing

# The source of published figures of checkpoints that most people start from.
TORCHVISION = "torchvision, IMAGENET1K_V1"
Output = Literal["logits", "probabilities", "maps"]


class ModelError(Exception):
    """A network or its weights cannot be had; the message says why and what to type next."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True)
class Published:
    """Accuracy in per cent as its source gives it, never measured here.

    One centre crop, unless the source says otherwise.
    """

    top1: float | None
    top5: float | None
    source: str
    dataset: str = "ImageNet"


@dataclass(frozen=True)
class Spec:
    """One network, before any weight exists.

    `factory` is ``module:callable``, called with `classes`, `channels` and `arguments`. `size` is
    the input's height and width; `preprocessing` is None where the input is not an image. `stem`
    and `head` are the parameters whose shapes tell a file's channels (dimension 1) and classes
    (dimension 0). `weights` is the file of a network that comes trained. `output` says what the
    numbers that come out are. Parameters that start with one of `auxiliary` are of classifiers that
    only training has; the factory then takes `auxiliary`. `members` are those of an ensemble.
    `reference` names the paper's authors for a narrow column, as "Howard et al.".
    """

    name: str
    family: str
    factory: str
    settings: Mapping[str, Any]
    arguments: Mapping[str, Any]
    size: tuple[int, int]
    preprocessing: Preprocessing | None
    classes: int
    channels: int
    stem: str
    head: str
    title: str
    year: int
    published: Published | None = None
    weights: Path | None = None
    output: Output = "logits"
    auxiliary: tuple[str, ...] = ()
    members: tuple["Spec", ...] = ()
    reference: str = ""


def width_parameter(*listed: float, most: float = 1.0) -> "Parameter":
    """Return the factor on the channels of every layer, up to `most`; default 1."""

    def read(text: str) -> float:
        value = float(text)
        if not 0 < value <= most:
            raise ValueError(text)
        return value

    return Parameter(listed or (1.0,), 1.0, read, f"above 0 and at most {most:g}")


def resolution_parameter(default: int, *others: int, step: int = 1, least: int = 0) -> "Parameter":
    """Return the side of the square input: a multiple of `step`, and at least `least`."""

    def read(text: str) -> int:
        value = int(text)
        if value < max(least, step) or value % step:
            raise ValueError(text)
        return value

    multiple = f"a multiple of {step}" if step > 1 else "a whole number"
    rule = multiple if least <= step else f"{multiple} from {least}"
    return Parameter((default, *others), default, read, rule)


@dataclass(frozen=True)
class Parameter:
    """A part of a name. `read` turns its text into a value, or raises ValueError by `rule`."""

    listed: tuple[Any, ...]
    default: Any
    read: Callable[[str], Any]
    rule: str


@dataclass(frozen=True)
class Family:
    """The networks of one paper. A name is a key of `networks`, then its parameters, joined by _.

    `networks` maps a name to the factory's settings; `published` and `aliases` go by full and
    by any name. A parameter left out at the end of a name has its default, and a full name
    leaves it out too unless `in_full`. The input is square, of the setting `resolution` if there
    is one, which reaches the factory if `sized`; images are first resized to ``side / crop``.
    `channels` is for an input that is not an image: then `mean` and `std` are empty. `classes` is 0
    where the output is maps. See `Spec` for `auxiliary` and `reference`.
    """

    name: str
    factory: str
    title: str
    year: int
    stem: str
    head: str
    networks: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Published] = field(default_factory=dict)
    classes: int = 1000
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channels: int | None = None
    resolution: int = 224
    crop: float | None = 0.875
    in_full: bool = False
    sized: bool = False
    output: Output = "logits"
    auxiliary: tuple[str, ...] = ()
    reference: str = ""

    def listed(self) -> Iterator[str]:
        """Yield the full names to list: every network over its paper's grid of parameters."""
        for network in self.networks:
            for point in product(*(p.listed for p in self.parameters.values())):
                yield self._name(network, point)

    def find(self, name: str) -> Spec | None:
        """Return the network of `name`; None if no network of this family is called so.

        Raises:
            ModelError: the network is of this family but a parameter is out of its range.
        """
        for network in self.networks:
            texts = name.removeprefix(network + "_").split("_")
            if name == network:
                return self._spec(network, {})
            if texts[0] != name and len(texts) <= len(self.parameters) and texts[0][:1].isdigit():
                return self._spec(network, self._read(name, texts))
        return None

    def _read(self, name: str, texts: list[str]) -> dict[str, Any]:
        values = {}
        for (key, parameter), text in zip(self.parameters.items(), texts, strict=False):
            try:
                values[key] = parameter.read(text)
            except ValueError:
                listed = ", ".join(map(str, parameter.listed))
                raise ModelError(
                    f"no model named '{name}': the {key} must be {parameter.rule}, not '{text}'; "
                    f"listed: {listed}"
                ) from None
        return values

    def _spec(self, network: str, given: Mapping[str, Any]) -> Spec:
        values = {key: given.get(key, p.default) for key, p in self.parameters.items()}
        name = self._name(network, tuple(values.values()))
        settings = {**self.networks[network], **values}
        side = values.get("resolution", self.resolution)
        kept = settings if self.sized else {k: v for k, v in settings.items() if k != "resolution"}
        return Spec(
            name=name,
            family=self.name,
            factory=self.factory,
            settings=settings,
            arguments=kept,
            size=(side, side),
            preprocessing=self._preprocessing(side) if self.mean else None,
            classes=self.classes,
            channels=self.channels or len(self.mean),
            stem=self.stem,
            head=self.head,
            title=self.title,
            year=self.year,
            published=self.published.get(name),
            output=self.output,
            auxiliary=self.auxiliary,
            reference=self.reference,
        )

    def _name(self, network: str, values: tuple[Any, ...]) -> str:
        parts = list(values)
        defaults = [parameter.default for parameter in self.parameters.values()]
        while parts and not self.in_full and parts[-1] == defaults[len(parts) - 1]:
            parts.pop()
        return "_".join([network, *map(str, parts)])

    def _preprocessing(self, side: int) -> Preprocessing:
        channels: Literal[1, 3] = 1 if len(self.mean) == 1 else 3
        resize = round(side / self.crop) if self.crop else None
        return Preprocessing(channels, (side, side), self.mean, self.std, resize)
