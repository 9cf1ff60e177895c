"""The blocks of ResNet, ResNeXt and SENet, and the shortcuts around them.

Parameter names and order are those of torchvision's ``state_dict``; squeeze-and-excitation, which
torchvision's ResNets do not have, is called `se` as in timm.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from models.layers import ConvNormAct, SqueezeExcite

# From the channels before and after a block, and its stride; None: nothing is added to the block.
Shortcut = Callable[[int, int, int], nn.Module | None]


class ZeroPadding(nn.Module):
    """Every `stride`-th pixel, and zeros for the new channels.

    Shapes: ``(N, C, H, W)`` to ``(N, C + extra, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra = extra
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return the shortcut of `x`."""
        sparse = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(sparse, (0, 0, 0, 0, 0, self.extra))


def zero_padding(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """He et al., section 3.3, option A: no parameters, whatever the shapes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return ZeroPadding(out_channels - in_channels, stride)


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """He et al., section 3.3, option B: a 1x1 convolution where the shape changes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return ConvNormAct(in_channels, out_channels, 1, stride=stride, activation=None)


def no_shortcut(in_channels: int, out_channels: int, stride: int) -> None:
    """The plain networks that the paper compares with (section 3.3)."""


@dataclass(frozen=True)
class Variant:
    """What the papers change in a block.

    `stride_first` puts a bottleneck's stride into its first 1x1 convolution; its 3x3 convolution
    has `groups`, each of `group_width` channels in the first stage (Xie et al., table 1);
    `squeeze_excite` scales the channels before the addition (Hu et al., figure 3).
    """

    shortcut: Shortcut = projection
    stride_first: bool = False
    groups: int = 1
    group_width: int = 64
    squeeze_excite: bool = False


class Residual(nn.Module):
    """Adds the shortcut of a block's input to what its convolutions compute."""

    expansion: int
    downsample: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.residual(x)
        if self.downsample is not None:
            y = y + self.downsample(x)
        out: Tensor = self.relu(y)
        return out

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the shortcut."""
        raise NotImplementedError


class Basic(Residual):
    """He et al., figure 5, left: two 3x3 convolutions."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, variant: Variant) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.se = _squeeze_excite(width, variant)
        self.downsample = variant.shortcut(in_channels, width, stride)

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the shortcut."""
        x = self.relu(self.bn1(self.conv1(x)))
        y: Tensor = self.se(self.bn2(self.conv2(x)))
        return y


class Bottleneck(Residual):
    """He et al., figure 5, right: 1x1, 3x3, 1x1.

    The stride is in the 3x3 convolution ("v1.5"). The paper (v1) has it in the first 1x1, as
    `Variant.stride_first` does: ResNet-50 then takes 3.8 GMACs instead of 4.1.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, variant: Variant) -> None:
        super().__init__()
        inside = width * variant.groups * variant.group_width // 64
        out = width * self.expansion
        first, second = (stride, 1) if variant.stride_first else (1, stride)
        self.conv1 = conv(in_channels, inside, 1, first)
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv2 = conv(inside, inside, 3, second, variant.groups)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3 = conv(inside, out, 1)
        self.bn3 = nn.BatchNorm2d(out)
        self.se = _squeeze_excite(out, variant)
        self.downsample = variant.shortcut(in_channels, out, stride)

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the shortcut."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        y: Tensor = self.se(self.bn3(self.conv3(x)))
        return y


def stages(
    block: type[Basic] | type[Bottleneck], width: int, counts: Sequence[int], variant: Variant
) -> Iterator[nn.Sequential]:
    """Yield the stages: each halves the image and doubles the width, but for the first."""
    previous = width
    for stage, count in enumerate(counts):
        blocks = []
        for index in range(count):
            stride = 2 if stage and not index else 1
            blocks.append(block(previous, width << stage, stride, variant))
            previous = (width << stage) * block.expansion
        yield nn.Sequential(*blocks)


def last_norms(network: nn.Module) -> list[nn.Module]:
    """Return the last batch norm of each block that has a shortcut."""
    blocks = [m for m in network.modules() if isinstance(m, Residual) and m.downsample is not None]
    return [
        [norm for norm in block.children() if isinstance(norm, nn.BatchNorm2d)][-1]
        for block in blocks
    ]


def conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution without bias, padded to keep the size."""
    padding = kernel // 2
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)


def _squeeze_excite(channels: int, variant: Variant) -> nn.Module:
    """Hu et al., section 4: a reduction ratio of 16."""
    return SqueezeExcite(channels, channels // 16) if variant.squeeze_excite else nn.Identity()
