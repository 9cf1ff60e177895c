"""Network in Network: Lin, Chen, Yan (2013)."""

from torch import Tensor, nn

from models.layers import GlobalAveragePool, he_forward_


class NetworkInNetwork(nn.Module):
    """Four mlpconv blocks and a global average pool in place of linear layers (figure 2).

    The paper's figures are for small images; the sizes here are those of its authors' ImageNet
    model. Shapes: ``(N, channels, 224, 224)`` to ``(N, classes)``.
    """

    def __init__(self, *, classes: int = 1000, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _mlpconv(channels, (96, 96, 96), 11, stride=4),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            _mlpconv(96, (256, 256, 256), 5, padding=2),
            nn.MaxPool2d(3, stride=2),
            _mlpconv(256, (384, 384, 384), 3, padding=1),
            nn.MaxPool2d(3, stride=2),
            nn.Dropout(),
            _mlpconv(384, (1024, 1024, classes), 3, padding=1),
        )
        self.pool = GlobalAveragePool()
        he_forward_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (logits) of images `x`: the means of one map a class."""
        logits: Tensor = self.pool(self.features(x))
        return logits


def _mlpconv(
    in_channels: int,
    outputs: tuple[int, int, int],
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
) -> nn.Sequential:
    """Equation 2: a convolution, then a perceptron slid over its maps, as two 1x1 convolutions."""
    first, second, third = outputs
    return nn.Sequential(
        nn.Conv2d(in_channels, first, kernel, stride, padding),
        nn.ReLU(),
        nn.Conv2d(first, second, 1),
        nn.ReLU(),
        nn.Conv2d(second, third, 1),
        nn.ReLU(),
    )
