"""Batch norm folded into the convolution before it, once for every format.

Every converter folds too, but only after it has traced and rewritten the whole graph several times;
with a third of the operators gone beforehand that takes much less time.
"""

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

aten = torch.ops.aten
CONVOLUTIONS = {aten.conv1d.default, aten.conv2d.default, aten.conv3d.default}


def fold(program: ExportedProgram) -> None:
    """Fold, in place, each batch norm of the program that alone reads a convolution.

    With scale ``f = gamma / sqrt(variance + epsilon)`` the weights become ``f w`` and the bias
    ``f (b - mean) + beta``. It stays where weights are shared, where another operator comes before
    it, or where it is an output itself.
    """
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    for node in list(program.graph.nodes):
        if node.target is aten.batch_norm.default and _foldable(node, names):
            _fold(program, node, names)
    _drop_unread(program, names)


def _foldable(norm: Node, names: dict[str, str]) -> bool:
    convolution, *operands = norm.args[:5]
    if not isinstance(convolution, Node) or convolution.target not in CONVOLUTIONS:
        return False
    training, is_output = norm.args[5], any(user.op == "output" for user in norm.users)
    if training or is_output or len(convolution.users) > 1:
        return False
    operands += [a for a in convolution.args[1:3] if a is not None]
    return all(
        isinstance(operand, Node) and operand.name in names and len(operand.users) == 1
        for operand in operands
    )


def _fold(program: ExportedProgram, norm: Node, names: dict[str, str]) -> None:
    """The batch norm's own bias becomes the convolution's."""
    state: dict[str, Any] = program.state_dict
    convolution: Any = norm.args[0]
    weight, bias = convolution.args[1], (*convolution.args[2:3], None)[0]
    operands: Any = norm.args[1:5]
    scale, shift, mean, variance = (state[names[operand.name]] for operand in operands)
    before = state[names[bias.name]] if bias is not None else torch.zeros_like(mean)
    factor = scale / torch.sqrt(variance + norm.args[7])
    kernel = state[names[weight.name]]
    _store(state, names[weight.name], kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1)))
    _store(state, names[operands[1].name], (before - mean) * factor + shift)
    convolution.args = (*convolution.args[:2], operands[1], *convolution.args[3:])
    norm.replace_all_uses_with(convolution)
    program.graph.erase_node(norm)


def _store(state: dict[str, Any], name: str, value: torch.Tensor) -> None:
    state[name] = torch.nn.Parameter(value.detach(), requires_grad=False)


def _drop_unread(program: ExportedProgram, names: dict[str, str]) -> None:
    """Take out the parameters and buffers that no operator reads any more."""
    unread = [n for n in program.graph.nodes if n.name in names and not n.users]
    for node in unread:
        program.graph.erase_node(node)
        program.state_dict.pop(names[node.name], None)
    gone = {node.name for node in unread}
    specs = program.graph_signature.input_specs
    specs[:] = [spec for spec in specs if getattr(spec.arg, "name", None) not in gone]
    program.graph_module.recompile()
