"""Four ideas that make a network cheap, each as two forms of one block that can be counted.

Convolutions end in ReLU; MACs leave biases out, so that the counts are those of the formulas.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from models.analysis import analyse
from models.googlenet import inception_module
from models.layer import Analysis


@dataclass(frozen=True)
class Form:
    """One way of building a block. `key` is fit for a file's name."""

    key: str
    title: str
    make: Callable[[], nn.Module]


@dataclass(frozen=True)
class Block:
    """The plain and the cheap form of a block, for an input ``(1, C, H, W)`` of `shape`.

    `cost` says in symbols what each form costs, and `predicted` what the ratio of their MACs
    should be by it.
    """

    name: str
    title: str
    source: str
    shape: tuple[int, int, int, int]
    forms: tuple[Form, Form]
    cost: tuple[str, ...]
    predicted: float


def count(block: Block) -> tuple[Analysis, Analysis]:
    """Count both forms, as any network is counted."""
    image = torch.empty(block.shape, device="meta")

    def of(form: Form) -> Analysis:
        with torch.device("meta"):
            module = form.make().eval()
        return analyse(torch.export.export(module, (image,)))

    plain, cheap = map(of, block.forms)
    return plain, cheap


def _conv(in_channels: int, out_channels: int, kernel: int, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(
        in_channels, out_channels, kernel, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.ReLU())


def _chain(*widths_and_kernels: tuple[int, int, int]) -> Callable[[], nn.Module]:
    """Return what builds convolutions in a row, each ``(in_channels, out_channels, kernel)``."""
    return lambda: nn.Sequential(*(_conv(*of) for of in widths_and_kernels))


def depthwise(channels: int = 512, side: int = 14, kernel: int = 3) -> Block:
    """MobileNet's block (section 3.1), by default the one that its body repeats five times."""

    def separable() -> nn.Module:
        return nn.Sequential(
            _conv(channels, channels, kernel, groups=channels), _conv(channels, channels, 1)
        )

    return Block(
        name="depthwise",
        title=f"a {kernel}x{kernel} convolution, full and depthwise separable",
        source="Howard et al. (2017), section 3.1",
        shape=(1, channels, side, side),
        forms=(
            Form("full", f"full {kernel}x{kernel}", _chain((channels, channels, kernel))),
            Form("separable", f"{kernel}x{kernel} depthwise, 1x1", separable),
        ),
        cost=(
            "MACs a pixel, k x k window, M channels in, N out: k^2 M N against k^2 M + M N",
            f"their ratio: 1/N + 1/k^2, for N = {channels} and k = {kernel}",
        ),
        predicted=1 / channels + 1 / kernel**2,
    )


def bottleneck(channels: int = 192, out: int = 32, middle: int = 16) -> Block:
    """GoogLeNet's reduction by 1x1 before a 5x5 convolution, on 28x28 values."""
    return Block(
        name="bottleneck",
        title="a 5x5 convolution, direct and through a 1x1 bottleneck",
        source="Szegedy et al. (2014), section 4",
        shape=(1, channels, 28, 28),
        forms=(
            Form("direct", "5x5", _chain((channels, out, 5))),
            Form(
                "reduced", f"1x1 to {middle}, 5x5", _chain((channels, middle, 1), (middle, out, 5))
            ),
        ),
        cost=(
            "MACs a pixel, M channels in, N out, R between: 25 M N against M R + 25 R N",
            f"their ratio: R/(25 N) + R/M, for M = {channels}, N = {out} and R = {middle}",
        ),
        predicted=middle / (25 * out) + middle / channels,
    )


def stack3x3(channels: int = 64, side: int = 56) -> Block:
    """VGG's stack of three 3x3 convolutions that sees as much as one of 7x7 (section 2.3)."""
    return Block(
        name="stack3x3",
        title="a 7x7 field, by one 7x7 convolution and by three of 3x3",
        source="Simonyan and Zisserman (2014), section 2.3",
        shape=(1, channels, side, side),
        forms=(
            Form("single", "7x7", _chain((channels, channels, 7))),
            Form("stacked", "3x3, 3x3, 3x3", _chain(*[(channels, channels, 3)] * 3)),
        ),
        cost=(
            "weights, C channels in and out: 49 C^2 against 3 * 9 C^2 = 27 C^2",
            "their ratio: 27/49; and two more activations in between",
        ),
        predicted=27 / 49,
    )


def inception() -> Block:
    """The inception modules of `models.googlenet` on 28x28x256 (figure 2)."""
    channels, reduced = 256, 64
    outs = ((128, 1), (192, 3), (96, 5))

    plain = sum(k * k * channels * out for out, k in outs)
    cheap = channels * 128 + 3 * channels * reduced
    cheap += sum(k * k * reduced * out for out, k in outs[1:])
    return Block(
        name="inception",
        title="an inception module, naive and with 1x1 reductions",
        source="Szegedy et al. (2014), figure 2",
        shape=(1, channels, 28, 28),
        forms=(
            Form(
                "naive", "128 1x1, 192 3x3, 96 5x5, pool", partial(inception_module, reduced=False)
            ),
            Form(
                "reduced",
                f"the same through {reduced} 1x1",
                partial(inception_module, reduced=True),
            ),
        ),
        cost=(
            "MACs a pixel, M channels in, branches of N_k: the sum of k^2 M N_k against",
            f"M N_1 + the sum of M R + k^2 R N_k, and M R after the pool, for R = {reduced}",
        ),
        predicted=cheap / plain,
    )


BLOCKS: dict[str, Callable[[], Block]] = {
    "depthwise": depthwise,
    "bottleneck": bottleneck,
    "stack3x3": stack3x3,
    "inception": inception,
}
