"""ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (2015).

Parameter names and order are those of torchvision's ``state_dict``.
"""

from torch import Tensor, nn

from models.layers import ConvNormAct, GlobalAveragePool, he_


class _Residual(nn.Module):
    """Adds a block's input, projected where the shape changes, to what its convolutions compute."""

    downsample: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y: Tensor = self.relu(self.residual(x) + shortcut)
        return y

    def residual(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Basic(_Residual):
    """Figure 5, left: two 3x3 convolutions."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _projection(in_channels, width, stride)

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the shortcut."""
        x = self.relu(self.bn1(self.conv1(x)))
        y: Tensor = self.bn2(self.conv2(x))
        return y


class Bottleneck(_Residual):
    """Figure 5, right: 1x1, 3x3, 1x1. This is "v1.5", with the stride in the 3x3 convolution.

    The paper (v1) has it in the first 1x1: ResNet-50 then takes 3.8 GMACs where this takes 4.1.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = _conv(in_channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _projection(in_channels, out_channels, stride)

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the shortcut."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        y: Tensor = self.bn3(self.conv3(x))
        return y


# Table 1: the block and how many of it there are in conv2_x to conv5_x.
LAYOUTS: dict[int, tuple[type[Basic] | type[Bottleneck], tuple[int, ...]]] = {
    18: (Basic, (2, 2, 2, 2)),
    50: (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(nn.Module):
    """A 7x7 convolution, a pool, four stages of residual blocks, a pool, a linear layer (table 1).

    Shapes: ``(N, channels, H, W)`` to ``(N, classes)``; the paper has H = W = 224.
    """

    def __init__(self, *, depth: int = 50, classes: int = 1000, channels: int = 3) -> None:
        super().__init__()
        block, counts = LAYOUTS[depth]
        self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        previous = 64
        for stage, count in enumerate(counts):
            width = 64 * 2**stage
            strides = (1 if stage == 0 else 2, *[1] * (count - 1))
            blocks = []
            for stride in strides:
                blocks.append(block(previous, width, stride))
                previous = width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = GlobalAveragePool()
        self.fc = nn.Linear(previous, classes)
        he_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in self._stages():
            x = stage(x)
        logits: Tensor = self.fc(self.avgpool(x))
        return logits

    def _stages(self) -> list[nn.Module]:
        return [stage for name, stage in self.named_children() if name.startswith("layer")]


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    padding = kernel // 2
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Section 3.3, option B: a 1x1 convolution where the shape changes, else the identity."""
    if stride == 1 and in_channels == out_channels:
        return None
    return ConvNormAct(in_channels, out_channels, 1, stride=stride, activation=None)
