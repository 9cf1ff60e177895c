"""VGG: Simonyan and Zisserman, "Very Deep Convolutional Networks" (2014).

Parameter names and order are those of torchvision's ``state_dict``, with and without batch norm.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.layers import LocalResponseNorm, he_forward_, linear_layers, thin

# Table 1: convolutions as (output channels, kernel); each group ends in a 2x2 max pool.
_64, _128, _256, _512 = (64, 3), (128, 3), (256, 3), (512, 3)
CONFIGURATIONS = {
    "A": ((_64,), (_128,), (_256,) * 2, (_512,) * 2, (_512,) * 2),
    "B": ((_64,) * 2, (_128,) * 2, (_256,) * 2, (_512,) * 2, (_512,) * 2),
    "C": (
        (_64,) * 2,
        (_128,) * 2,
        (_256, _256, (256, 1)),
        (_512, _512, (512, 1)),
        (_512, _512, (512, 1)),
    ),
    "D": ((_64,) * 2, (_128,) * 2, (_256,) * 3, (_512,) * 3, (_512,) * 3),
    "E": ((_64,) * 2, (_128,) * 2, (_256,) * 4, (_512,) * 4, (_512,) * 4),
}


class VGG(nn.Module):
    """Stacks of 3x3 convolutions between pools, then three linear layers (table 1).

    Shapes: ``(N, channels, R, R)`` to ``(N, classes)``, R being `resolution`, a multiple of 32.
    `normalise` is None, "batch" after every convolution, or "local" after the first (A-LRN).
    `width` is the share of every layer's outputs that is kept, those of the linear layers too.
    """

    def __init__(
        self,
        *,
        configuration: str,
        normalise: str | None = None,
        width: float = 1.0,
        resolution: int = 224,
        classes: int = 1000,
        channels: int = 3,
    ) -> None:
        super().__init__()
        stages = [
            tuple((thin(wide, width), kernel) for wide, kernel in stage)
            for stage in CONFIGURATIONS[configuration]
        ]
        self.features = nn.Sequential(*_convolutions(channels, stages, normalise))
        values = stages[-1][-1][0] * (resolution // 32) ** 2
        self.classifier = linear_layers(values, thin(4096, width), classes)
        he_forward_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits


def _convolutions(
    previous: int, stages: Sequence[tuple[tuple[int, int], ...]], normalise: str | None
) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for stage in stages:
        for out, kernel in stage:
            layers.append(nn.Conv2d(previous, out, kernel, padding=kernel // 2))
            layers += [nn.BatchNorm2d(out)] if normalise == "batch" else []
            layers.append(nn.ReLU())
            previous = out
        layers += [LocalResponseNorm()] if normalise == "local" and len(layers) == 2 else []
        layers.append(nn.MaxPool2d(2))
    return layers
