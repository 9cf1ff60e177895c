"""MobileNet v2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018).

Parameter names and order are those of torchvision's ``state_dict``.
"""

from torch import Tensor, nn

from models.layers import ConvNormAct, GlobalAveragePool, divisible_by_8, he_, soften_

# Table 2: expansion, output channels, repetitions, stride of the first of them.
STAGES = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


class InvertedResidual(nn.Module):
    """Figure 3b: 1x1 to more channels, 3x3 depthwise, 1x1 to few without an activation.

    The input is added where the shape stays. An `expansion` of 1 leaves the first 1x1 out.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers.append(ConvNormAct(in_channels, inside, 1, activation=nn.ReLU6))
        layers += [
            ConvNormAct(inside, inside, 3, stride=stride, groups=inside, activation=nn.ReLU6),
            nn.Conv2d(inside, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and in_channels == out_channels

    @property
    def last_norm(self) -> nn.Module:
        """The batch norm after the last convolution."""
        return self.conv[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class MobileNetV2(nn.Module):
    """A full convolution, seventeen inverted residuals, a 1x1, a pool, a linear layer (table 2).

    Shapes: ``(N, channels, R, R)`` to ``(N, classes)``, R a multiple of 32. `width` multiplies all
    channels but the last 1280, which only grow (section 4); each becomes a multiple of 8.
    """

    def __init__(self, *, width: float = 1.0, classes: int = 1000, channels: int = 3) -> None:
        super().__init__()
        previous = divisible_by_8(32 * width)
        layers: list[nn.Module] = [
            ConvNormAct(channels, previous, 3, stride=2, activation=nn.ReLU6)
        ]
        for expansion, wide, repetitions, first in STAGES:
            out = divisible_by_8(wide * width)
            for stride in (first, *[1] * (repetitions - 1)):
                layers.append(InvertedResidual(previous, out, stride, expansion))
                previous = out
        last = divisible_by_8(1280 * max(1.0, width))
        layers.append(ConvNormAct(previous, last, 1, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.pool = GlobalAveragePool()
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))
        he_(self)
        soften_([b.last_norm for b in layers if isinstance(b, InvertedResidual) and b.adds])

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits
