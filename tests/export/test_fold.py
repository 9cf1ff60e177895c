"""Folding changes how many operators there are, not what they compute."""

import pytest
import torch
from torch import nn

from export.fold import fold
from models import checkpoint
from models.registry import resolve


def exported(module: nn.Module, *shape: int) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return torch.export.export(
        module.eval(), (torch.zeros(2, *shape),), dynamic_shapes=({0: batch},)
    )


def norms(program: torch.export.ExportedProgram) -> int:
    return sum("batch_norm" in str(node.target) for node in program.graph.nodes)


def fold_and_compare(program: torch.export.ExportedProgram, *shape: int) -> None:
    image = torch.randn(3, *shape)
    expected = program.module()(image)
    fold(program)
    program.validate()
    error = (program.module()(image) - expected).abs().max()
    assert error < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", ["mobilenet_v2_0.35_32", "resnet18_32", "googlenet"])
def test_a_network_of_convolutions_and_norms_keeps_no_norm(name: str) -> None:
    spec = resolve(name)
    program = exported(checkpoint.create(spec), spec.channels, 64, 64)
    assert norms(program) > 10
    fold_and_compare(program, spec.channels, 64, 64)
    assert norms(program) == 0
    assert not any("running" in key for key in program.state_dict)


@pytest.mark.parametrize(
    "convolution",
    [nn.Conv2d(4, 6, 3), nn.Conv2d(4, 6, 3, bias=False), nn.Conv2d(4, 8, 3, groups=4)],
)
def test_bias_and_groups_are_folded_right(convolution: nn.Conv2d) -> None:
    program = exported(
        nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()), 4, 8, 8
    )
    fold_and_compare(program, 4, 8, 8)
    assert norms(program) == 0


class Twice(nn.Module):
    """The convolution is read by two, or run twice, or a norm is shared."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.convolution, self.how = nn.Conv2d(4, 4, 1), how
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        once = self.convolution(x)
        if self.how == "read by two":
            return self.first(once) + once
        if self.how == "run twice":
            return self.first(once) + self.second(self.convolution(x * 2))
        return self.first(once) + self.first(x)


@pytest.mark.parametrize("how", ["read by two", "run twice", "norm shared"])
def test_what_is_shared_is_left(how: str) -> None:
    program = exported(Twice(how), 4, 8, 8)
    before = norms(program)
    fold_and_compare(program, 4, 8, 8)
    assert norms(program) == before


def test_a_norm_that_is_the_output_is_left() -> None:
    program = exported(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), 4, 8, 8)
    fold_and_compare(program, 4, 8, 8)
    assert norms(program) == 1


def test_a_norm_after_another_operator_or_a_transposed_convolution_is_left() -> None:
    module = nn.Sequential(
        nn.Conv2d(4, 4, 1),
        nn.ReLU(),
        nn.BatchNorm2d(4),
        nn.ConvTranspose2d(4, 4, 2),
        nn.BatchNorm2d(4),
    )
    program = exported(module, 4, 8, 8)
    fold_and_compare(program, 4, 8, 8)
    assert norms(program) == 2
