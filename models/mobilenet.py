"""MobileNet v1: Howard et al., "MobileNets: Efficient Convolutional Neural Networks" (2017)."""

from torch import Tensor, nn

from models.layers import ConvNormAct, GlobalAveragePool, he_, thin

# Table 1: output channels and stride of the thirteen depthwise separable blocks.
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
BLOCKS += [(1024, 2), (1024, 1)]

# Of the released models: the paper leaves it open, and int8 is kinder to the larger one.
EPS = 1e-3


class MobileNetV1(nn.Module):
    """A full convolution, thirteen depthwise separable ones, a pool and a linear layer (table 1).

    Shapes: ``(N, channels, R, R)`` to ``(N, classes)``, R a multiple of 32. `width` is the paper's
    multiplier alpha (section 3.3); no layer gets under 8 channels. Without `separable` the thirteen
    are full 3x3 convolutions, the paper's own ablation (table 4, "Conv MobileNet"). The activation
    is ReLU6 as in the released models, where the paper writes ReLU.
    """

    def __init__(
        self,
        *,
        width: float = 1.0,
        separable: bool = True,
        classes: int = 1000,
        channels: int = 3,
    ) -> None:
        super().__init__()
        block = _depthwise_separable if separable else _full
        previous = thin(32, width)
        layers: list[nn.Module] = [
            ConvNormAct(channels, previous, 3, stride=2, eps=EPS, activation=nn.ReLU6)
        ]
        for wide, stride in BLOCKS:
            out = thin(wide, width)
            layers.append(block(previous, out, stride))
            previous = out
        self.features = nn.Sequential(*layers)
        self.pool = GlobalAveragePool()
        self.classifier = nn.Linear(previous, classes)
        he_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits


def _full(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Figure 3, left: a 3x3 convolution with batch norm and ReLU6."""
    return ConvNormAct(in_channels, out_channels, 3, stride=stride, eps=EPS, activation=nn.ReLU6)


def _depthwise_separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Figure 3, right: 3x3 depthwise then 1x1, each with batch norm and ReLU6."""
    return nn.Sequential(
        ConvNormAct(
            in_channels,
            in_channels,
            3,
            stride=stride,
            groups=in_channels,
            eps=EPS,
            activation=nn.ReLU6,
        ),
        ConvNormAct(in_channels, out_channels, 1, eps=EPS, activation=nn.ReLU6),
    )
