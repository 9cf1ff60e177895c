"""ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (2015).

Also what others made by changing its block: ResNeXt (Xie et al., "Aggregated Residual
Transformations for Deep Neural Networks", 2016) and SENet (Hu et al., "Squeeze-and-Excitation
Networks", 2017). Parameter names and order are those of torchvision's ``state_dict``.
"""

from torch import Tensor, nn

from models.layers import GlobalAveragePool, he_, soften_
from models.residual import (
    Basic,
    Bottleneck,
    Variant,
    conv,
    last_norms,
    no_shortcut,
    projection,
    stages,
    zero_padding,
)

# Table 1: the block and how many of it there are in conv2_x to conv5_x.
LAYOUTS: dict[int, tuple[type[Basic] | type[Bottleneck], tuple[int, ...]]] = {
    18: (Basic, (2, 2, 2, 2)),
    34: (Basic, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """A 7x7 convolution, a pool, four stages of residual blocks, a pool, a linear layer (table 1).

    Shapes: ``(N, channels, H, W)`` to ``(N, classes)``; the paper has H = W = 224. Without
    `shortcuts` it is the plain network of section 3.3; for the rest see `models.residual.Variant`.
    """

    def __init__(
        self,
        *,
        depth: int = 50,
        shortcuts: bool = True,
        stride_first: bool = False,
        groups: int = 1,
        group_width: int = 64,
        squeeze_excite: bool = False,
        classes: int = 1000,
        channels: int = 3,
    ) -> None:
        super().__init__()
        block, counts = LAYOUTS[depth]
        shortcut = projection if shortcuts else no_shortcut
        variant = Variant(shortcut, stride_first, groups, group_width, squeeze_excite)
        self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages(block, 64, counts, variant)
        self.avgpool = GlobalAveragePool()
        self.fc = nn.Linear(512 * block.expansion, classes)
        he_(self)
        soften_(last_norms(self))

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x))
        return logits


class CifarResNet(nn.Module):
    """The networks for small images (section 4.2), whose shortcuts have no parameters (option A).

    Shapes: ``(N, channels, H, W)`` to ``(N, classes)``; the paper has H = W = 32. Depth 6n + 2 is
    a 3x3 convolution, three stages of n blocks with 16, 32 and 64 channels, and a linear layer.
    """

    def __init__(self, *, depth: int = 20, classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        counts = [(depth - 2) // 6] * 3
        self.conv1 = conv(channels, 16, 3)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1, self.layer2, self.layer3 = stages(Basic, 16, counts, Variant(zero_padding))
        self.avgpool = GlobalAveragePool()
        self.fc = nn.Linear(64, classes)
        he_(self)
        soften_(last_norms(self))

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.avgpool(x))
        return logits
