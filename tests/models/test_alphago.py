"""AlphaGo's policy network against the paper's methods."""

import torch
from torch import nn

from models.checkpoint import build, create
from models.registry import resolve
from tests.models.networks import parameters, shapes_only


def test_thirteen_convolutions_and_a_bias_for_each_position():
    module = shapes_only("alphago")
    convolutions = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size[0], c.padding[0]) for c in convolutions] == [
        *[(192, 5, 2)],
        *[(192, 3, 1)] * 11,
        *[(1, 1, 0)],
    ]
    assert module.position.shape == (361,)
    assert parameters(module) == 48 * 192 * 25 + 192 + 11 * (192 * 192 * 9 + 192) + 192 + 361


def test_a_board_goes_in_and_a_score_for_each_of_its_points_comes_out():
    spec = resolve("alphago")
    assert (spec.channels, *spec.size) == (48, 19, 19)
    assert spec.preprocessing is None
    assert shapes_only("alphago")(torch.empty(3, 48, 19, 19, device="meta")).shape == (3, 19 * 19)


def test_a_positions_bias_moves_its_own_score_only():
    module = build("alphago").module
    board = torch.rand(1, 48, 19, 19)
    with torch.no_grad():
        before = module(board)
        module.position[19 * 3 + 4] += 1.0
        change = (module(board) - before).reshape(19, 19)
    assert change[3, 4].isclose(torch.tensor(1.0))
    assert change.count_nonzero() == 1


def test_the_signal_survives_the_untrained_network():
    torch.manual_seed(0)
    boards = (torch.rand(8, 48, 19, 19) > 0.7).float()
    with torch.no_grad():
        scores = create(resolve("alphago")).eval()(boards)
    assert scores.std(dim=0).mean() > 0.05
    assert scores.abs().max() < 50
