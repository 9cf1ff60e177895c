"""Training against int8 as the exporters make it: rounded in the forward pass, float underneath.

Weights are symmetric per channel, activations have a zero point per tensor, and batch norm is
folded into its convolution: Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference" (2018), section 3. The parameters are the network's
own, so that what is saved afterwards is an ordinary float network of the same name.
"""

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from models.family import ModelError

MOMENTUM = 0.01  # of the ranges' moving average, as the paper's "close to 1" for its complement
LEAST_SCALE = 1e-8
LAYERS = (nn.Conv2d, nn.Linear)
# Runtimes clip in the layer before, so that what is rounded is the clipped result.
CLIPS: tuple[Any, ...] = (
    nn.ReLU, nn.ReLU6, nn.Hardtanh, functional.relu, functional.relu6, functional.hardtanh,
    torch.relu,
)  # fmt: skip
FUSED_WITH_CLIP: tuple[Any, ...] = (*LAYERS, nn.BatchNorm2d, operator.add, torch.add)
# Values only move: the result has its input's scale.
MOVES: tuple[Any, ...] = (
    nn.MaxPool2d, nn.Dropout, nn.Flatten, nn.Identity, torch.flatten, functional.max_pool2d,
    functional.dropout, "flatten", "view", "reshape", "permute", "contiguous", operator.getitem,
)  # fmt: skip


class FakeQuantize(nn.Module):
    """Rounds a tensor to 256 levels; its range follows the batches' extremes (section 3.1)."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(torch.inf))
        self.register_buffer("high", torch.tensor(-torch.inf))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded; gradients pass where it was inside the range."""
        if self.training:
            self._observe(x.detach())
        scale = ((self.high - self.low) / 255).clamp_min(LEAST_SCALE)
        zero_point = (-128 - self.low / scale).round().clamp(-128, 127).int()
        rounded: Tensor = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, -128, 127)
        return rounded

    def _observe(self, x: Tensor) -> None:
        # Zero must be in the range: it pads, and it is where a ReLU begins.
        low, high = x.amin().clamp_max(0.0), x.amax().clamp_min(0.0)
        if self.high < self.low:
            self.low.copy_(low)
            self.high.copy_(high)
        self.low.lerp_(low, MOMENTUM)
        self.high.lerp_(high, MOMENTUM)


class FoldedLayer(nn.Module):
    """A convolution or linear layer with int8 weights, its batch norm folded in (figure C.8).

    The norm's running statistics stay as they are: they are what will be exported.
    """

    def __init__(self, layer: nn.Module, norm: nn.BatchNorm2d | None) -> None:
        super().__init__()
        assert isinstance(layer, LAYERS)
        self.layer = layer
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Return what the int8 layer gives for `x`, before its result is rounded."""
        weight, bias = self._folded()
        scale = (weight.detach().abs().flatten(1).amax(1) / 127).clamp_min(LEAST_SCALE)
        zero_point = torch.zeros_like(scale, dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(weight, scale, zero_point, 0, -127, 127)
        if isinstance(self.layer, nn.Linear):
            return functional.linear(x, weight, bias)
        y: Tensor = self.layer._conv_forward(x, weight, bias)
        return y

    def _folded(self) -> tuple[Tensor, Tensor | None]:
        weight, bias = self.layer.weight, self.layer.bias
        if self.norm is None:
            return weight, bias
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        gain = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        shift = -mean if bias is None else bias - mean
        return weight * gain.reshape(-1, *(1,) * (weight.ndim - 1)), shift * gain + self.norm.bias


def prepare(network: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Return a module that computes `network` as int8 would, on the same parameters.

    Args:
        network: any network that `torch.fx` can trace; left in evaluation mode.
        shape: of an input, batch first.

    Raises:
        ModelError: the network cannot be traced.
    """
    try:
        traced = fx.symbolic_trace(network.eval())
    except Exception as error:  # a network's own code may raise anything on a symbolic input
        raise ModelError(
            f"this network cannot be trained quantization-aware: {str(error).splitlines()[0]}"
        ) from None
    ShapeProp(traced).propagate(torch.zeros(shape))
    kinds = {node: _kind(traced, node) for node in traced.graph.nodes}
    rounded = [node for node in traced.graph.nodes if _is_rounded(node, kinds)]
    for node in rounded:
        _insert(traced, node, FakeQuantize())
    for node in [n for n, kind in kinds.items() if kind in LAYERS]:
        _fold(traced, node, kinds)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _kind(traced: fx.GraphModule, node: fx.Node) -> Any:
    """A module's class, a function, or a method's name: what the tables above hold."""
    if node.op != "call_module":
        return node.target
    return type(traced.get_submodule(str(node.target)))


def _is_rounded(node: fx.Node, kinds: dict[fx.Node, Any]) -> bool:
    dtype = getattr(node.meta.get("tensor_meta"), "dtype", None)
    if node.op == "output" or dtype is not torch.float32:
        return False
    kind, after = kinds[node], [kinds[user] for user in node.users]
    only = after[0] if len(after) == 1 else None
    folded = kind in LAYERS and only is nn.BatchNorm2d
    return not (folded or kind in MOVES or (kind in FUSED_WITH_CLIP and only in CLIPS))


def _insert(traced: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    name = f"rounded_{node.name}"
    traced.add_submodule(name, module)
    with traced.graph.inserting_after(node):
        rounded = traced.graph.call_module(name, (node,))
    node.replace_all_uses_with(rounded, lambda user: user is not rounded)


def _fold(traced: fx.GraphModule, node: fx.Node, kinds: dict[fx.Node, Any]) -> None:
    layer, norm, last = traced.get_submodule(str(node.target)), None, node
    user = next(iter(node.users))
    if kinds.get(user) is nn.BatchNorm2d and len(node.users) == 1:
        found = traced.get_submodule(str(user.target))
        assert isinstance(found, nn.BatchNorm2d)
        norm, last = found, user
    name = f"folded_{node.name}"
    traced.add_submodule(name, FoldedLayer(layer, norm))
    with traced.graph.inserting_after(last):
        folded = traced.graph.call_module(name, node.args)
    last.replace_all_uses_with(folded)
    if last is not node:
        traced.graph.erase_node(last)
    traced.graph.erase_node(node)
