"""The state of a training between two epochs, in a safetensors file that carries no code."""

from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.checkpoint import write_tensors
from models.family import ModelError
from models.training_log import Epoch

KEY = "edgeworthy-partial"


class Told(msgspec.Struct, frozen=True):
    """What the file says beside its tensors: the command it belongs to, and the epochs done."""

    settings: dict[str, Any]
    log: list[Epoch]


class Partial(msgspec.Struct, frozen=True):
    """All that a training must find again to end in the same bits.

    `learner` is the network as it is trained, with its ranges if that is quantization-aware;
    `best` the parameters kept so far; `random` torch's random state.
    """

    log: list[Epoch]
    learner: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: Tensor


PARTS = ("learner", "best", "optimizer")


def write(path: Path, partial: Partial, settings: dict[str, Any]) -> None:
    """Write the state, whole or not at all; `settings` name the command it belongs to.

    Raises:
        ModelError: the file cannot be written.
    """
    tensors = {f"{part}/{k}": v for part in PARTS for k, v in getattr(partial, part).items()}
    told = msgspec.json.encode(Told(settings, partial.log)).decode()
    write_tensors({**tensors, "random": partial.random}, path, {KEY: told})


def read(path: Path, settings: dict[str, Any]) -> Partial:
    """Read the state of the command that `settings` name.

    Raises:
        ModelError: there is none, it is damaged, or it belongs to another command.
    """
    if not path.is_file():
        raise ModelError(f"nothing to resume: no {path}; leave --resume out")
    try:
        with safe_open(path, framework="pt") as file:
            told = msgspec.json.decode((file.metadata() or {}).get(KEY, ""), type=Told)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, msgspec.MsgspecError):
        raise ModelError(f"{path} is damaged; start again with --force") from None
    _compare(path, told.settings, settings)
    split: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    random = tensors.pop("random")
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        split[part][name] = tensor
    return Partial(log=told.log, random=random, **split)


def _compare(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    wanted = msgspec.json.decode(msgspec.json.encode(wanted))
    for key in sorted({*found, *wanted}):
        if found.get(key) != wanted.get(key):
            raise ModelError(
                f"{path} is of a training with {key} {found.get(key)}, not {wanted.get(key)}; "
                "repeat its command, or start again with --force"
            )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimizer's memory by ``PARAMETER/NAME``, such as ``3/momentum_buffer``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{name}": value
        for index, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimizer its memory back, laid out as the parameters are."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition("/")
        parameter = parameters[int(index)]
        same = tensor.shape == parameter.shape
        value = torch.empty_like(parameter).copy_(tensor) if same else tensor
        state.setdefault(int(index), {})[name] = value.detach()
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a module's state that further training does not change."""
    return {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}
