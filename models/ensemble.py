"""An ensemble: several networks asked at once, their probabilities averaged.

So were the challenge's entries made, from AlexNet's seven networks in 2012 to CUImage's in 2016.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.checkpoint import build, create
from models.family import Spec
from models.preprocess import Preprocessing


class Ensemble(nn.Module):
    """The mean of the members' softmax.

    Shapes: ``(N, channels, H, W)`` to probabilities ``(N, classes)``.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean probabilities of the classes of images `x`."""
        first, *others = (member(x).softmax(1) for member in self.members)
        mean: Tensor = sum(others, first) / len(self.members)
        return mean


class Renormalise(nn.Module):
    """Turns images normalised for one network into what another was trained with.

    Shapes: ``(N, channels, H, W)``, unchanged.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, given: Preprocessing, wanted: Preprocessing) -> None:
        super().__init__()
        before, after = (torch.tensor([p.mean, p.std])[:, :, None, None] for p in (given, wanted))
        self.register_buffer("scale", before[1] / after[1])
        self.register_buffer("shift", (before[0] - after[0]) / after[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return images `x` by the wanted mean and standard deviation."""
        return x * self.scale + self.shift


def of(*, members: Sequence[Spec], classes: int, channels: int) -> Ensemble:
    """Return the ensemble: members that come trained as they are, the others freshly drawn.

    `classes` and `channels` are for the others; trained members have their own.
    """
    networks = (
        build(spec.name).module
        if spec.weights
        else create(spec, classes=classes, channels=channels)
        for spec in members
    )
    given = members[0].preprocessing
    return Ensemble(
        [_adapted(n, given, s.preprocessing) for n, s in zip(networks, members, strict=True)]
    )


def _adapted(
    network: nn.Module, given: Preprocessing | None, wanted: Preprocessing | None
) -> nn.Module:
    """Return the network for images as `given`, which differ from those `wanted` or do not."""
    if not given or not wanted or (given.mean, given.std) == (wanted.mean, wanted.std):
        return network
    return nn.Sequential(Renormalise(given, wanted), network)
