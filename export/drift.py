"""What a network's first batch norm says of the images it is given: were they those of training?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node

from export.guard import Array, Drift
from models.operators import kind_of

IMAGES = 64


class _Found(Exception):  # noqa: N818 -- not an error: it ends the run early
    """The batch norm's input and running statistics."""

    def __init__(self, values: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.values = values


class _UntilNorm(Interpreter):
    """Runs a program as far as its first batch norm."""

    def run_node(self, n: Node) -> Any:
        """Stop at a batch norm: its operands are x, weight, bias, mean, variance."""
        if n.op == "call_function" and kind_of(n) == "batch_norm":
            operands, _ = self.fetch_args_kwargs_from_env(n)
            raise _Found((operands[0], operands[3], operands[4]))
        return super().run_node(n)


def first_norm(program: ExportedProgram, images: Array, batch: int | None) -> Drift | None:
    """Compare the first batch norm's inputs with its running statistics.

    Args:
        program: of one image input.
        images: as the network gets them, ``(N, C, H, W)``; the first 64 are used.
        batch: the only one that the program can be run at; None: any.

    Returns:
        None if there is no batch norm, or its statistics are those it was created with.
    """
    module = program.module()
    assert isinstance(module, GraphModule)
    used = images[:IMAGES]
    size = batch or len(used)
    chunks = [used[i : i + size] for i in range(0, len(used), size)]
    seen = [_norm_input(module, chunk) for chunk in chunks if len(chunk) == size]
    found = [s for s in seen if s is not None]
    if not found:
        return None
    mean, variance = (value.numpy() for value in found[0][1:])
    if np.all(mean == 0) and np.all(variance == 1):
        return None
    inputs = np.concatenate([x.numpy() for x, *_ in found])
    axes = (0, *range(2, inputs.ndim))
    alive = variance > 1e-12
    off = np.abs(inputs.mean(axes) - mean)[alive] / np.sqrt(variance[alive])
    return Drift(
        mean=float(np.median(off)),
        variance=float(np.median(inputs.var(axes)[alive] / variance[alive])),
    )


def _norm_input(module: GraphModule, images: Array) -> Sequence[torch.Tensor] | None:
    try:
        with torch.no_grad():
            _UntilNorm(module).run(torch.from_numpy(images))
    except _Found as found:
        return [value.detach() for value in found.values]
    return None
