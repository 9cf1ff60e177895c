"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions" (2014).

Parameter names and order are those of torchvision's ``state_dict``. As there, and as everyone
trains it since, batch norm (with an epsilon of 0.001) follows each convolution in place of the
paper's local response normalisation.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import GlobalAveragePool, he_

EPS = 1e-3


class Sizes(NamedTuple):
    """A line of table 1: the outputs of each convolution of an inception module."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int

    @property
    def out(self) -> int:
        """The depth of the four branches together."""
        return self.one + self.three + self.five + self.pool


# Table 1, columns "#1x1" to "pool proj".
INCEPTIONS = {
    "3a": Sizes(64, 96, 128, 16, 32, 32),
    "3b": Sizes(128, 128, 192, 32, 96, 64),
    "4a": Sizes(192, 96, 208, 16, 48, 64),
    "4b": Sizes(160, 112, 224, 24, 64, 64),
    "4c": Sizes(128, 128, 256, 24, 64, 64),
    "4d": Sizes(112, 144, 288, 32, 64, 64),
    "4e": Sizes(256, 160, 320, 32, 128, 128),
    "5a": Sizes(256, 160, 320, 32, 128, 128),
    "5b": Sizes(384, 192, 384, 48, 128, 128),
}
# The modules after which the two auxiliary classifiers look at the maps (section 5).
AUXILIARY = {"4a": "aux1", "4d": "aux2"}


class Convolution(nn.Module):
    """A convolution without bias, batch norm and ReLU, padded to keep the size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        padding = kernel // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rectified maps."""
        return functional.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Figure 2 (b): 1x1, 3x3, 5x5 convolutions and a pool side by side, 1x1 before the dear ones.

    Shapes: ``(N, in_channels, H, W)`` to ``(N, sizes.out, H, W)``. `largest` is the kernel of the
    third branch.
    """

    def __init__(self, in_channels: int, sizes: Sizes, largest: int = 5) -> None:
        super().__init__()
        self.branch1 = Convolution(in_channels, sizes.one, 1)
        self.branch2 = nn.Sequential(
            Convolution(in_channels, sizes.three_reduce, 1),
            Convolution(sizes.three_reduce, sizes.three, 3),
        )
        self.branch3 = nn.Sequential(
            Convolution(in_channels, sizes.five_reduce, 1),
            Convolution(sizes.five_reduce, sizes.five, largest),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), Convolution(in_channels, sizes.pool, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' maps, one after the other."""
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(x) for branch in branches], 1)


class NaiveInception(nn.Module):
    """Figure 2 (a): the module without reductions; the pool's maps all join the output.

    Shapes: ``(N, in_channels, H, W)`` to ``(N, one + three + five + in_channels, H, W)``.
    """

    def __init__(self, in_channels: int, one: int, three: int, five: int) -> None:
        super().__init__()
        self.branch1 = Convolution(in_channels, one, 1)
        self.branch2 = Convolution(in_channels, three, 3)
        self.branch3 = Convolution(in_channels, five, 5)
        self.branch4 = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' maps, one after the other."""
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(x) for branch in branches], 1)


def inception_module(*, reduced: bool, channels: int = 256) -> nn.Module:
    """Return a module alone, as lectures dissect it: 128 of 1x1, 192 of 3x3, 96 of 5x5, a pool.

    Reduced, 64 1x1 convolutions precede the larger kernels and follow the pool. Shapes:
    ``(N, channels, 28, 28)`` to ``(N, 480, 28, 28)`` if `reduced`, else to 416 + `channels` maps.
    """
    module: nn.Module
    if reduced:
        module = Inception(channels, Sizes(128, 64, 192, 64, 96, 64))
    else:
        module = NaiveInception(channels, 128, 192, 96)
    he_(module)
    return module


class AuxiliaryHead(nn.Module):
    """A classifier beside the network, for gradients in training only (section 5).

    Shapes: ``(N, in_channels, H, W)`` to ``(N, classes)``.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.conv = Convolution(in_channels, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) as seen from maps `x`."""
        x = self.conv(functional.adaptive_avg_pool2d(x, 4)).flatten(1)
        logits: Tensor = self.fc2(self.dropout(functional.relu(self.fc1(x))))
        return logits


class GoogLeNet(nn.Module):
    """Three convolutions, nine inception modules, a pool and a linear layer (table 1).

    Shapes: ``(N, channels, 224, 224)`` to ``(N, classes)``. With `auxiliary` there are two more
    classifiers, for training: then, and in training mode, the result is a tuple of the main scores
    and theirs, whose losses weigh 0.3 in the paper. `largest` 3 makes torchvision's network, for
    its weights: 3x3 convolutions where the paper has 5x5, and a last pool of 2x2 for 3x3.
    """

    def __init__(
        self,
        *,
        largest: int = 5,
        auxiliary: bool = False,
        classes: int = 1000,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, 64, 7, stride=2)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = Convolution(64, 64, 1)
        self.conv3 = Convolution(64, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        previous, heads = 192, {}
        for name, sizes in INCEPTIONS.items():
            self.add_module(f"inception{name}", Inception(previous, sizes, largest))
            previous = sizes.out
            if auxiliary and name in AUXILIARY:
                heads[AUXILIARY[name]] = AuxiliaryHead(previous, classes)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.maxpool4 = nn.MaxPool2d(3 if largest == 5 else 2, stride=2, ceil_mode=True)
        for name, head in heads.items():
            self.add_module(name, head)
        self.avgpool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(previous, classes)
        he_(self)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the class scores (logits) of images `x`; see above for training."""
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        seen = []
        for name in INCEPTIONS:
            x = self.get_submodule(f"inception{name}")(x)
            if self.training and (head := getattr(self, AUXILIARY.get(name, ""), None)):
                seen.append(head(x))
            x = self._pooled(name, x)
        logits: Tensor = self.fc(self.dropout(self.avgpool(x)))
        return (logits, *seen) if seen else logits

    def _pooled(self, name: str, x: Tensor) -> Tensor:
        pool = {"3b": self.maxpool3, "4e": self.maxpool4}.get(name)
        return x if pool is None else pool(x)
