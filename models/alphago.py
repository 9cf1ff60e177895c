"""AlphaGo's policy network: Silver et al., "Mastering the Game of Go" (2016)."""

import torch
from torch import Tensor, nn

from models.layers import he_forward_

FILTERS = 192
HIDDEN = 11


class PolicyNetwork(nn.Module):
    """Thirteen convolutions from a board's feature planes to a score for each of its points.

    Methods, "Neural network architecture": 192 filters of 5x5, eleven layers of 192 of 3x3, and a
    1x1 filter with a different bias for each position. Shapes: ``(N, channels, 19, 19)`` to
    ``(N, classes)``; the channels are the 48 planes of extended data table 2, the classes the
    board's 361 points.
    """

    def __init__(self, *, classes: int = 361, channels: int = 48) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, FILTERS, 5, padding=2), nn.ReLU()]
        for _ in range(HIDDEN):
            layers += [nn.Conv2d(FILTERS, FILTERS, 3, padding=1), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.move = nn.Conv2d(FILTERS, 1, 1, bias=False)
        self.position = nn.Parameter(torch.zeros(classes))
        he_forward_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores (logits) of a move to each point of the boards `x`, row by row."""
        scores: Tensor = self.move(self.features(x)).flatten(1) + self.position
        return scores
