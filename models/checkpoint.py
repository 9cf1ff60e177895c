"""From a name to a network with weights: drawn from a seed, read from a file, or the project's."""

import hashlib
import importlib
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.family import ModelError, Spec
from models.metadata import Metadata, read_metadata
from models.preprocess import Preprocessing
from models.registry import resolve
from models.whole_file import whole_file

SHOWN = 3
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class WeightsInfo:
    """Where the parameters' values come from. `top1` is a fraction, as the file states it."""

    origin: Literal["random", "file", "trained"]
    sha256: str | None = None
    seed: int | None = None
    dataset: str | None = None
    top1: float | None = None


@dataclass(frozen=True)
class Built:
    """A network ready to run: `module` is in evaluation mode, float32, on the CPU.

    `preprocessing` is what its weights were trained with, or the family's where none is known;
    None where the input is not an image.
    """

    module: nn.Module
    spec: Spec
    preprocessing: Preprocessing | None
    class_names: tuple[str, ...] | None
    classes: int
    channels: int
    weights: WeightsInfo


def create(
    spec: Spec,
    *,
    classes: int | None = None,
    channels: int | None = None,
    auxiliary: bool = False,
) -> nn.Module:
    """Return the network of `spec` with freshly drawn weights, in training mode.

    With `auxiliary`, and if it has any, it comes with the classifiers that only training has.
    """
    module, _, name = spec.factory.partition(":")
    counts = {"channels": channels or spec.channels}
    if spec.output != "maps":
        counts["classes"] = classes or spec.classes
    if spec.auxiliary:
        counts["auxiliary"] = auxiliary
    network: nn.Module = getattr(importlib.import_module(module), name)(**counts, **spec.arguments)
    return network


def build(name: str, *, weights: Path | None = None, seed: int = 0) -> Built:
    """Build a network by name, with the weights of a file, the project's own, or drawn from `seed`.

    A file's own counts of classes and channels are taken over. The global random state is left
    as it was.

    Raises:
        ModelError: no such network, or the file cannot be read, holds more than tensors, or does
            not fit the network.
    """
    spec = resolve(name)
    if weights and spec.weights:
        base = name.partition("@")[0]
        raise ModelError(f"'{name}' comes with its weights; give --weights with '{base}'")
    if weights and spec.members:
        raise ModelError(f"'{name}' has its members' weights; --weights is for one network")
    path = weights or spec.weights
    if path:
        return _from_file(spec, path)
    built = _from_seed(spec, seed)
    return _with_members_weights(built) if any(m.weights for m in spec.members) else built


def _from_seed(spec: Spec, seed: int) -> Built:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = create(spec).eval()
    info = WeightsInfo("random", seed=seed)
    return Built(module, spec, spec.preprocessing, None, spec.classes, spec.channels, weights=info)


def _with_members_weights(built: Built) -> Built:
    """Load those members of an ensemble that come trained.

    Raises:
        ModelError: two of them name their classes differently.
    """
    members = zip(built.spec.members, built.module.networks, strict=True)  # type: ignore[arg-type]
    trained = [(spec.weights, spec, network) for spec, network in members if spec.weights]
    for path, spec, network in trained:
        load_state(network, _without_auxiliary(spec, read_state(path)), path)
    files = [path for path, _, _ in trained]
    words = [read_metadata(path) for path in files]
    labels = {known.class_names for known in words if known.class_names}
    if len(labels) > 1:
        raise ModelError(
            f"the members of '{built.spec.name}' know different classes; give some that share them"
        )
    whole = len(files) == len(built.spec.members)
    return replace(
        built,
        class_names=next(iter(labels), None),
        weights=_together(files, words) if whole else built.weights,
    )


def _together(files: list[Path], words: list[Metadata]) -> WeightsInfo:
    """Describe several files: a digest of their digests, and their data set if they share one."""
    digests = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    datasets = {known.dataset for known in words}
    return WeightsInfo(
        origin="trained",
        sha256=hashlib.sha256(digests.encode()).hexdigest(),
        dataset=datasets.pop() if len(datasets) == 1 else None,
    )


def _from_file(spec: Spec, path: Path) -> Built:
    state = _without_auxiliary(spec, read_state(path))
    words = read_metadata(path) if path.suffix == ".safetensors" else Metadata()
    classes = _count(state, spec.head, 0, spec.classes)
    channels = _count(state, spec.stem, 1, spec.channels)
    with torch.random.fork_rng(devices=[]):
        module = create(spec, classes=classes, channels=channels)
    load_state(module, state, path)
    measured_as_is = spec.weights is not None or words.model == spec.name
    info = WeightsInfo(
        origin="trained" if spec.weights else "file",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        dataset=words.dataset,
        top1=words.top1 if measured_as_is else None,
    )
    preprocessing = _preprocessing(words.preprocessing or spec.preprocessing, spec, channels)
    return Built(
        module.eval(), spec, preprocessing, words.class_names, classes, channels, weights=info
    )


def _without_auxiliary(spec: Spec, state: State) -> State:
    return {key: tensor for key, tensor in state.items() if not key.startswith(spec.auxiliary)}


def _count(state: State, key: str, dimension: int, default: int) -> int:
    tensor = state.get(key)
    return tensor.shape[dimension] if tensor is not None and tensor.ndim > 1 else default


def _preprocessing(known: Preprocessing | None, spec: Spec, channels: int) -> Preprocessing | None:
    """Keep the size that the name asks for, and spread or average the statistics over channels."""
    own = spec.preprocessing
    if known is None or own is None:
        return None
    if known.size != own.size:
        known = replace(known, size=own.size, resize=own.resize)
    if known.channels == channels:
        return known
    if channels not in {1, 3}:
        raise ModelError(f"these weights are for {channels} channels; images have 1 or 3")
    mean, std = ((sum(v) / len(v),) * channels for v in (known.mean, known.std))
    return replace(known, channels=1 if channels == 1 else 3, mean=mean, std=std)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors or .pth file by name; no code in it can run.

    A .pth file may hold a state_dict or a dictionary with one under ``state_dict`` or ``model``;
    the prefix ``module.`` that parallel training leaves is dropped.

    Raises:
        ModelError: missing, truncated, no tensors, or pickled objects inside.
    """
    if not path.is_file():
        raise ModelError(f"no weights file {path}; give a .safetensors or .pth file")
    try:
        found: Any = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except pickle.UnpicklingError:
        raise ModelError(
            f"refused: {path} contains pickled objects; save a state_dict or safetensors"
        ) from None
    except Exception as error:  # torch's unpickler ends in any kind of error on a damaged file
        reason = str(error).partition("\n")[0] or "it ends too soon"
        raise ModelError(
            f"cannot read the weights {path}: {reason}; it is damaged or of another format"
        ) from None
    return {key.removeprefix("module."): tensor for key, tensor in _state_of(found, path).items()}


def _unpickled(path: Path) -> Any:
    with warnings.catch_warnings(action="ignore"):  # of pickle protocols that it then refuses
        return torch.load(path, map_location="cpu", weights_only=True)


def _state_of(found: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(found, Mapping):
        for key in ("state_dict", "model"):
            if isinstance(found.get(key), Mapping):
                return _state_of(found[key], path)
        if found and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
            return dict(found)
    raise ModelError(f"{path} holds no state_dict: tensors by name were expected")


def load_state(module: nn.Module, state: State, path: Path) -> None:
    """Copy `state` into `module`, strictly; batch norm's batch counts may be missing.

    Raises:
        ModelError: names are missing or unexpected, or shapes differ; names the first few.
    """
    own = module.state_dict()
    counts = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    state = {**counts, **state}
    shapes = [
        f"{key} is {_shape(state[key])} and not {_shape(own[key])}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    faults = [
        _fault("missing", [key for key in own if key not in state]),
        _fault("unexpected", [key for key in state if key not in own]),
        _fault("of another shape", shapes),
    ]
    if any(faults):
        raise ModelError(
            f"{path} does not fit this network: {'; '.join(filter(None, faults))}; "
            "give the name of the network that it was made for"
        )
    module.load_state_dict(dict(state), strict=True)


def _fault(what: str, keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{what}: {', '.join(keys[:SHOWN])}{more}" if keys else ""


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def save(module: nn.Module, path: Path, metadata: Metadata) -> None:
    """Write a module's state and `metadata` as safetensors, whole or not at all.

    Raises:
        ModelError: the directory cannot be written to.
    """
    write_tensors(module.state_dict(), path, metadata.encode())


def write_tensors(state: State, path: Path, words: dict[str, str]) -> None:
    """Write tensors and the header's `words` as safetensors, whole or not at all.

    Raises:
        ModelError: the directory cannot be written to.
    """
    tensors = {key: tensor.detach().contiguous() for key, tensor in state.items()}
    with whole_file(path) as scratch:
        try:
            save_file(tensors, scratch, words)
        except SafetensorError as error:
            raise OSError(str(error)) from None
