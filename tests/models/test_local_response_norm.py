"""Local response normalisation: equal to torch's, and safe where torch's overflows."""

import pytest
import torch
from torch import nn

from models.layers import LocalResponseNorm

LARGEST = torch.finfo(torch.float16).max
SETTINGS = [
    {"size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2.0},
    {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0},
    {"size": 4, "alpha": 1e-2, "beta": 0.5, "k": 1.0},
]


def maps(amplitude):
    return amplitude * torch.randn(2, 12, 5, 5, generator=torch.Generator().manual_seed(0))


def close(found, expected, relative):
    return (found - expected).abs().max() <= relative * expected.abs().max()


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("amplitude", [0.01, 1.0, 100.0, 10_000.0])
def test_equals_torchs(settings, amplitude):
    x = maps(amplitude)
    assert close(LocalResponseNorm(**settings)(x), nn.LocalResponseNorm(**settings)(x), 1e-6)


def test_the_defaults_are_the_papers_constants_with_alpha_times_size():
    x = maps(50.0)
    squares = torch.stack([x[:, max(0, i - 2) : i + 3].square().sum(1) for i in range(12)], 1)
    assert close(LocalResponseNorm()(x), x / (2 + 1e-4 * squares) ** 0.75, 1e-6)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("amplitude", [1.0, 100.0, 10_000.0])
def test_holds_in_half_precision(settings, amplitude):
    x = maps(amplitude).clamp(-LARGEST, LARGEST).half()
    exact = nn.LocalResponseNorm(**settings)(x.float())
    assert close(LocalResponseNorm(**settings)(x).float(), exact, 2e-3)


def test_the_largest_half_numbers_do_not_overflow():
    x = torch.full((1, 8, 1, 1), LARGEST, dtype=torch.float16)
    exact = nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)(x.float())
    assert close(LocalResponseNorm()(x).float(), exact, 2e-3)
    assert not (x.square() < torch.inf).any(), "torch's own squares first, and loses everything"
