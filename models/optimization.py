"""What turns gradients into steps: parameter groups and the learning rate's course."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from models.recipe import Recipe

# Layers that learn at one rate, and that rate as a share of the recipe's.
Part = tuple[Iterable[nn.Module], float]


def optimizer_for(parts: Iterable[Part], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over the parameters that the layers of `parts` own.

    Biases, norms and depthwise filters hold few parameters, and are not decayed; for depthwise
    filters see the MobileNet paper, section 3.2.
    """
    groups = [group for layers, share in parts for group in _groups(layers, share, recipe)]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=0.0)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)


def _groups(layers: Iterable[nn.Module], share: float, recipe: Recipe) -> list[dict[str, Any]]:
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for layer in layers:
        for parameter in layer.parameters(recurse=False):
            is_decayed = parameter is getattr(layer, "weight", None) and _is_dense(layer)
            (decayed if is_decayed else free).append(parameter)
    lr = recipe.lr * share
    return [
        {"params": decayed, "lr": lr, "weight_decay": recipe.weight_decay},
        {"params": free, "lr": lr},
    ]


def _is_dense(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return False
    return layer.weight.shape[1] > 1 or getattr(layer, "groups", 1) == 1


def schedule_for(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int, done: int = 0
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the recipe's one cycle over `steps` steps, of which `done` are behind."""
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    course = _course(max(1, round(recipe.warm_up * steps)), steps)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, course, last_epoch=done - 1)


def _course(warm: int, steps: int) -> Callable[[int], float]:
    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return factor
