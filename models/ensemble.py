"""An ensemble: several networks asked at once, their probabilities averaged.

So were the challenge's entries made, from AlexNet's seven networks in 2012 to CUImage's in 2016.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.checkpoint import create
from models.family import Spec
from models.preprocess import Preprocessing


class Ensemble(nn.Module):
    """The mean of the members' softmax.

    Shapes: ``(N, channels, H, W)`` to probabilities ``(N, classes)``.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def networks(self) -> list[nn.Module]:
        """The members without what adapts images to them."""
        return [m.network if isinstance(m, Renormalised) else m for m in self.members]

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean probabilities of the classes of images `x`."""
        first, *others = (member(x).softmax(1) for member in self.members)
        mean: Tensor = sum(others, first) / len(self.members)
        return mean


class Renormalised(nn.Module):
    """A network for images with another mean and deviation than those it was trained with.

    Shapes: those of `network`.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, given: Preprocessing, wanted: Preprocessing) -> None:
        super().__init__()
        self.network = network
        before, after = (torch.tensor([p.mean, p.std])[:, :, None, None] for p in (given, wanted))
        self.register_buffer("scale", before[1] / after[1])
        self.register_buffer("shift", (before[0] - after[0]) / after[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network answers to images `x`, brought to what it wants."""
        answer: Tensor = self.network(x * self.scale + self.shift)
        return answer


def of(*, members: Sequence[Spec], classes: int, channels: int) -> Ensemble:
    """Return the ensemble with freshly drawn weights."""
    given = members[0].preprocessing
    adapted = []
    for spec in members:
        network = create(spec, classes=classes, channels=channels)
        adapted.append(_adapted(network, given, spec.preprocessing))
    return Ensemble(adapted)


def _adapted(
    network: nn.Module, given: Preprocessing | None, wanted: Preprocessing | None
) -> nn.Module:
    """Return the network for images as `given`, which differ from those `wanted` or do not."""
    if not given or not wanted or (given.mean, given.std) == (wanted.mean, wanted.std):
        return network
    return Renormalised(network, given, wanted)
