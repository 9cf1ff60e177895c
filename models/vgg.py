"""VGG: Simonyan and Zisserman, "Very Deep Convolutional Networks" (2014).

Parameter names and order are those of torchvision's ``state_dict``.
"""

import torch
from torch import Tensor, nn

from models.layers import he_

# Table 1: 3x3 convolutions by their output channels; each group ends in a 2x2 max pool.
STAGES = {16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))}


class VGG(nn.Module):
    """Stacks of 3x3 convolutions between pools, then three linear layers (table 1; D is depth 16).

    Shapes: ``(N, channels, 224, 224)`` to ``(N, classes)``.
    """

    def __init__(self, *, depth: int = 16, classes: int = 1000, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = channels
        for stage in STAGES[depth]:
            for out in stage:
                layers += [nn.Conv2d(previous, out, 3, padding=1), nn.ReLU()]
                previous = out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(previous * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )
        he_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
