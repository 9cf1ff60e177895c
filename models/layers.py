"""Blocks that several families share, and how their weights start."""

import math

import torch
from torch import Tensor, nn


class ConvNormAct(nn.Sequential):
    """A convolution without bias, batch norm and an activation, padded to keep the size.

    Shapes: ``(N, in_channels, H, W)`` to ``(N, out_channels, ceil(H / stride), ceil(W / stride))``
    for an odd `kernel`. `activation` None leaves the activation out.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        eps: float = 1e-5,
        activation: type[nn.Module] | None = nn.ReLU,
    ) -> None:
        padding = kernel // 2
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False
            ),
            nn.BatchNorm2d(out_channels, eps=eps),
        ]
        super().__init__(*layers, *([activation()] if activation else []))


class GlobalAveragePool(nn.Module):
    """The mean over height and width: ``(N, C, H, W)`` to ``(N, C)``, whatever the image's size."""

    def forward(self, x: Tensor) -> Tensor:
        """Average the feature maps of `x`."""
        return nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)


def he_(network: nn.Module) -> None:
    """Start convolutions by He et al. (2015), "Delving Deep into Rectifiers", eq. 14 (fan-out).

    The fan is counted within a group: by torch's own count, which leaves groups out, the signal of
    an untrained network dies in its depthwise layers. Batch norm starts as the identity, linear
    layers from N(0, 0.01), biases at zero.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan = math.prod(module.kernel_size) * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan))
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def xavier_(network: nn.Module) -> None:
    """Start every layer by Glorot and Bengio (2010), section 4.2.1, as saturating units need."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class LocalResponseNorm(nn.Module):
    """Divides each value by a power of its neighbours' squares in other maps.

    Krizhevsky et al. (2012), section 3.3: ``x / (k + alpha / size * sum)**beta``, the sum over the
    squares of `size` adjacent maps. As in torch, `alpha` is divided by `size`; in the paper it is
    not, so that its 1e-4 is the default 5e-4 here. Shapes: ``(N, C, H, W)``, unchanged.

    Equal to ``torch.nn.LocalResponseNorm``, but safe in float16, in every converted file too:
    values are scaled down before they are squared, so that the largest float16 cannot overflow.
    """

    def __init__(
        self, size: int = 5, alpha: float = 5e-4, beta: float = 0.75, k: float = 2.0
    ) -> None:
        super().__init__()
        self.size, self.beta = size, beta
        # The sum of `size` squares then is at most the largest float16.
        self.scale = (size * torch.finfo(torch.float16).max) ** -0.5
        gain = alpha / size / self.scale**2
        self.offset = k / gain
        self.amplitude = gain**-beta

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the feature maps `x`."""
        squares = (x * self.scale).square()
        around = self.size // 2
        padded = nn.functional.pad(squares, (0, 0, 0, 0, around, self.size - 1 - around))
        maps = x.shape[1]
        total = sum(padded[:, first : first + maps] for first in range(self.size))
        normalised: Tensor = x * self.amplitude * (total + self.offset).pow(-self.beta)
        return normalised


def thin(channels: int, width: float) -> int:
    """Return the share `width` of a layer's `channels`, at least 8."""
    return max(8, int(channels * width))


def he_forward_(network: nn.Module) -> None:
    """Start convolutions and linear layers by He et al. (2015), eq. 10 (fan-in); biases at zero.

    For networks that have no batch norm to restore the strength of a signal on its way forward.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def linear_layers(values: int, hidden: int, classes: int) -> nn.Sequential:
    """Return the three linear layers with dropout of AlexNet (2012, section 4.2), ZFNet and VGG.

    Shapes: ``(N, values)`` to ``(N, classes)``.
    """
    return nn.Sequential(
        nn.Linear(values, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, classes),
    )
