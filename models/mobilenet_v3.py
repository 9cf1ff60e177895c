"""MobileNet v3: Howard et al., "Searching for MobileNetV3" (2019).

Parameter names and order are those of torchvision's ``state_dict``.
"""

import math
from typing import Literal, NamedTuple

from torch import Tensor, nn

from models.layers import (
    ConvNormAct,
    GlobalAveragePool,
    SqueezeExcite,
    divisible_by_8,
    he_,
    soften_,
)

EPS = 1e-3
RE, HS = nn.ReLU, nn.Hardswish


class Row(NamedTuple):
    """A block as tables 1 and 2 have it; `expanded` is their "exp size"."""

    kernel: int
    expanded: int
    out: int
    squeeze_excite: bool
    activation: type[nn.Module]
    stride: int


TABLES = {
    "large": (
        Row(3, 16, 16, False, RE, 1),
        Row(3, 64, 24, False, RE, 2),
        Row(3, 72, 24, False, RE, 1),
        Row(5, 72, 40, True, RE, 2),
        Row(5, 120, 40, True, RE, 1),
        Row(5, 120, 40, True, RE, 1),
        Row(3, 240, 80, False, HS, 2),
        Row(3, 200, 80, False, HS, 1),
        Row(3, 184, 80, False, HS, 1),
        Row(3, 184, 80, False, HS, 1),
        Row(3, 480, 112, True, HS, 1),
        Row(3, 672, 112, True, HS, 1),
        Row(5, 672, 160, True, HS, 2),
        Row(5, 960, 160, True, HS, 1),
        Row(5, 960, 160, True, HS, 1),
    ),
    "small": (
        Row(3, 16, 16, True, RE, 2),
        Row(3, 72, 24, False, RE, 2),
        Row(3, 88, 24, False, RE, 1),
        Row(5, 96, 40, True, HS, 2),
        Row(5, 240, 40, True, HS, 1),
        Row(5, 240, 40, True, HS, 1),
        Row(5, 120, 48, True, HS, 1),
        Row(5, 144, 48, True, HS, 1),
        Row(5, 288, 96, True, HS, 2),
        Row(5, 576, 96, True, HS, 1),
        Row(5, 576, 96, True, HS, 1),
    ),
}
HIDDEN = {"large": 1280, "small": 1024}


class InvertedResidual(nn.Module):
    """Figure 4: MobileNet v2's block with squeeze-and-excitation after the depthwise convolution.

    The channels are scaled by a hard sigmoid (section 5.2) and squeezed to a quarter (section 5.3).
    """

    def __init__(self, in_channels: int, row: Row) -> None:
        super().__init__()
        inside, act = row.expanded, row.activation
        layers: list[nn.Module] = []
        if inside != in_channels:
            layers.append(ConvNormAct(in_channels, inside, 1, eps=EPS, activation=act))
        layers.append(
            ConvNormAct(
                inside,
                inside,
                row.kernel,
                stride=row.stride,
                groups=inside,
                eps=EPS,
                activation=act,
            )
        )
        if row.squeeze_excite:
            layers.append(SqueezeExcite(inside, divisible_by_8(inside // 4), gate=nn.Hardsigmoid))
        layers.append(ConvNormAct(inside, row.out, 1, eps=EPS, activation=None))
        self.block = nn.Sequential(*layers)
        self.gated = row.squeeze_excite
        self.adds = row.stride == 1 and in_channels == row.out

    @property
    def last_norm(self) -> nn.Module:
        """The batch norm after the last convolution."""
        return self.block.get_submodule(f"{len(self.block) - 1}.1")

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y: Tensor = self.block(x)
        return x + y if self.adds else y


class MobileNetV3(nn.Module):
    """A full convolution, the blocks of table 1 or 2, a 1x1, a pool, two linear layers.

    Shapes: ``(N, channels, R, R)`` to ``(N, classes)``, R a multiple of 32. `width` multiplies all
    channels; each becomes a multiple of 8.
    """

    def __init__(
        self,
        *,
        size: Literal["small", "large"] = "large",
        width: float = 1.0,
        classes: int = 1000,
        channels: int = 3,
    ) -> None:
        super().__init__()
        previous = divisible_by_8(16 * width)
        layers: list[nn.Module] = [
            ConvNormAct(channels, previous, 3, stride=2, eps=EPS, activation=HS)
        ]
        before = 16
        for row in TABLES[size]:
            thin = row._replace(
                expanded=divisible_by_8(row.expanded * previous / before),
                out=divisible_by_8(row.out * width),
            )
            layers.append(InvertedResidual(previous, thin))
            previous, before = thin.out, row.out
        layers.append(ConvNormAct(previous, 6 * previous, 1, eps=EPS, activation=HS))
        hidden = divisible_by_8(HIDDEN[size] * max(1.0, width))
        self.features = nn.Sequential(*layers)
        self.pool = GlobalAveragePool()
        self.classifier = nn.Sequential(
            nn.Linear(6 * previous, hidden),
            nn.Hardswish(),
            nn.Dropout(0.2),
            nn.Linear(hidden, classes),
        )
        he_(self)
        level_(self)
        soften_([b.last_norm for b in layers if isinstance(b, InvertedResidual) and b.adds])

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits


def level_(network: nn.Module) -> None:
    """Make up for what halves a small signal: hard swish, and a gate, which starts half open.

    Else an untrained network's answers are below what float16 can hold. He's factor of 2 is meant
    for ReLU; a half needs 4, so the batch norm before a hard swish starts with ``sqrt(2)``.
    """
    for module in network.modules():
        if isinstance(module, ConvNormAct) and isinstance(module[-1], nn.Hardswish):
            nn.init.constant_(module.get_parameter("1.weight"), math.sqrt(2))
        elif isinstance(module, InvertedResidual) and module.gated:
            nn.init.constant_(module.last_norm.get_parameter("weight"), 2)
