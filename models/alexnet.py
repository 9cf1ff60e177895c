"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep CNNs" (2012).

With it the one-tower network of Krizhevsky, "One weird trick for parallelizing convolutional neural
networks" (2014), and ZFNet of Zeiler and Fergus, "Visualizing and Understanding Convolutional
Networks" (2013), which looks at AlexNet and mends its first layers.
"""

import torch
from torch import Tensor, nn

from models.layers import LocalResponseNorm, he_forward_, linear_layers


class _Network(nn.Module):
    """Convolutions, then linear layers."""

    features: nn.Sequential
    classifier: nn.Sequential

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits


class AlexNet(_Network):
    """Five convolutions and three linear layers (sections 3.1 to 3.5, figure 2).

    Shapes: ``(N, channels, 227, 227)`` to ``(N, classes)``; the paper writes 224, from which an
    11x11 convolution with stride 4 does not make 55x55. Of 2 `groups`, each sees one GPU's maps in
    the second, fourth and fifth convolution, and the pool follows the norm as in the paper; one
    tower is taught with the pool first. `normalise` is "local" or "batch".
    """

    def __init__(
        self, *, groups: int = 1, normalise: str = "local", classes: int = 1000, channels: int = 3
    ) -> None:
        super().__init__()
        pool_first = groups == 1
        self.features = nn.Sequential(
            nn.Conv2d(channels, 96, 11, stride=4),
            nn.ReLU(),
            *_pool_and_norm(96, normalise, pool_first),
            nn.Conv2d(96, 256, 5, padding=2, groups=groups),
            nn.ReLU(),
            *_pool_and_norm(256, normalise, pool_first),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1, groups=groups),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1, groups=groups),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.classifier = linear_layers(256 * 6 * 6, 4096, classes)
        he_forward_(self)


def _pool_and_norm(maps: int, normalise: str, pool_first: bool) -> list[nn.Module]:
    """Sections 3.3 and 3.4: overlapping pools, and normalisation across maps or over the batch."""
    norm = nn.BatchNorm2d(maps) if normalise == "batch" else LocalResponseNorm()
    pool = nn.MaxPool2d(3, stride=2)
    return [pool, norm] if pool_first else [norm, pool]


class OneWeirdTrick(_Network):
    """The one-tower network of 2014 (footnote 1), without normalisation.

    Shapes: ``(N, channels, 224, 224)`` to ``(N, classes)``. Parameter names and order are those of
    torchvision's ``alexnet``, whose fourth convolution has 256 outputs where the paper has 384.
    """

    def __init__(self, *, classes: int = 1000, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, classes),
        )
        he_forward_(self)


class ZFNet(_Network):
    """Figure 3, with the wider third to fifth convolutions of table 2 (b): 512, 1024, 512.

    Shapes: ``(N, channels, 224, 224)`` to ``(N, classes)``.
    """

    def __init__(self, *, classes: int = 1000, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 96, 7, stride=2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            LocalResponseNorm(),
            nn.Conv2d(96, 256, 5, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            LocalResponseNorm(),
            nn.Conv2d(256, 512, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(512, 1024, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(1024, 512, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.classifier = linear_layers(512 * 6 * 6, 4096, classes)
        he_forward_(self)
