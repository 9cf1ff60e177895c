"""Receptive fields against the recurrences worked out by hand, and against gradients."""

import pytest
import torch
from torch import nn
from torch.export import export

from models.analysis import analyse


def field(module, *shape):
    """The receptive field of what the network computes last."""
    return analyse(export(module.eval(), (torch.zeros(*shape),))).layers[-1].receptive_field


def seen(module, *shape):
    """How many input rows and columns the middle value of the output depends on."""
    module = module.double().eval()
    image = torch.rand(*shape, dtype=torch.double, requires_grad=True)
    output = module(image)
    output[0, 0, output.shape[2] // 2, output.shape[3] // 2].backward()
    touched = image.grad[0].abs().sum(0) > 0
    rows, columns = torch.nonzero(touched, as_tuple=True)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def conv(kernel, **settings):
    return nn.Conv2d(2, 2, kernel, **settings)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(conv(3), conv(3), conv(3)),
        conv(7),
        nn.Sequential(conv(3, stride=2), conv(3, padding=1)),
        nn.Sequential(conv(3, dilation=2), conv(3)),
        nn.Sequential(conv((1, 5)), conv((3, 1), stride=(2, 1))),
        nn.Sequential(conv(3, stride=2), nn.AvgPool2d(2), conv(3)),
        nn.Sequential(conv(5), nn.BatchNorm2d(2), nn.Sigmoid(), nn.AvgPool2d(3, stride=1)),
        nn.Sequential(nn.AdaptiveAvgPool2d(10), conv(3)),
        nn.Sequential(conv(3, stride=2), nn.ConvTranspose2d(2, 2, 4, stride=2)),
        nn.Sequential(nn.ZeroPad2d(1), conv(3), nn.LocalResponseNorm(3), conv(3)),
        nn.Sequential(nn.ChannelShuffle(2), conv(3)),
    ],
)
def test_the_field_is_what_the_gradient_reaches(module):
    assert field(module, 1, 2, 40, 40) == seen(module, 1, 2, 40, 40)


def test_three_3x3_convolutions_see_as_much_as_one_of_7x7():
    assert field(nn.Sequential(conv(3), conv(3), conv(3)), 1, 2, 20, 20) == (7, 7)
    assert field(conv(7), 1, 2, 20, 20) == (7, 7)


class Shortcut(nn.Module):
    def __init__(self):
        super().__init__()
        self.long, self.short = nn.Sequential(conv(3, padding=1), conv(3, padding=1)), conv(1)

    def forward(self, x):
        return torch.cat([self.long(x) + self.short(x), x], dim=1)


def test_where_branches_meet_the_largest_field_counts():
    assert field(Shortcut(), 1, 2, 20, 20) == (5, 5)


class Gate(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(conv(3), nn.AdaptiveAvgPool2d(1)),
        nn.Sequential(conv(3), nn.Flatten(), nn.Linear(2 * 18 * 18, 4)),
        nn.Sequential(Gate(), conv(3)),
        nn.Sequential(conv(3), nn.Softmax(dim=3)),
        nn.Sequential(conv(3), nn.GroupNorm(1, 2)),
    ],
    ids=["pool", "linear", "squeeze-and-excitation", "softmax over a row", "group norm"],
)
def test_after_an_operator_over_the_whole_image_there_is_no_field(module):
    assert field(module, 1, 2, 20, 20) is None


def test_softmax_over_channels_keeps_the_field():
    assert field(nn.Sequential(conv(3), nn.Softmax(dim=1)), 1, 2, 20, 20) == (3, 3)


def test_a_transposed_image_keeps_its_axes():
    class Turned(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1) * 2.0

    assert field(nn.Sequential(conv((1, 5)), Turned()), 1, 2, 20, 20) == (1, 5)


def test_a_vector_has_no_field():
    assert field(nn.Linear(4, 2), 1, 4) is None
    assert field(nn.Conv1d(1, 1, 5, dilation=2), 1, 1, 20) == (9,)
