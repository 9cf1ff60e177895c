"""LeNet-5: LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998).

Section II-B and figure 2, in the form that is taught: C3 sees all six maps of S2, sub-sampling is
a plain average pool, and a linear layer stands for the radial basis functions of the output.
"""

import torch
from torch import Tensor, nn

from models.layers import xavier_


class LeNet5(nn.Module):
    """Two convolutions and three linear layers; 61,706 parameters with one channel, ten classes.

    Shapes: ``(N, channels, R, R)`` to ``(N, classes)``, R being `resolution`: the paper's 32, or 28
    as handwritten digits come, where the first convolution pads by 2 to the same maps: 6x28x28,
    6x14x14, 16x10x10, 16x5x5.
    """

    def __init__(self, *, resolution: int = 28, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=(32 - resolution) // 2),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(16 * 5 * 5, 120),
            nn.Sigmoid(),
            nn.Linear(120, 84),
            nn.Sigmoid(),
            nn.Linear(84, classes),
        )
        xavier_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
