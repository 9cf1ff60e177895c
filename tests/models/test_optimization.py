"""Parameter groups and the course of the learning rate."""

import math

import pytest
import torch

from models.checkpoint import create
from models.optimization import optimizer_for, schedule_for
from models.recipe import Recipe
from models.registry import resolve


def test_dense_weights_are_decayed_and_nothing_else():
    network = create(resolve("mobilenet_v1_0.25_32"))
    optimizer = optimizer_for([(network.modules(), 1.0)], Recipe(weight_decay=0.5))
    decayed, free = optimizer.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0)
    dense = [
        parameter.shape
        for parameter in network.parameters()
        if parameter.ndim > 1 and parameter.shape[1] > 1
    ]
    assert [p.shape for p in decayed["params"]] == dense
    assert len(decayed["params"]) + len(free["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_part_learns_at_its_share_of_the_rate(optimizer):
    first, second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    parts = [([first], 1.0), ([second], 0.1)]
    made = optimizer_for(parts, Recipe(lr=0.5, optimizer=optimizer))
    assert [group["lr"] for group in made.param_groups] == [0.5, 0.5, 0.05, 0.05]


def rates(done, steps=20):
    optimizer = optimizer_for([([torch.nn.Linear(2, 2)], 1.0)], Recipe(lr=2.0))
    schedule = schedule_for(optimizer, Recipe(lr=2.0), steps, done)
    found = []
    for _ in range(steps - done):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_rate_rises_in_a_line_and_falls_in_a_half_cosine():
    found = rates(0)
    assert found[:3] == [1.0, 2.0, 2.0]
    assert found[11] == pytest.approx(1.0)
    assert found[19] == pytest.approx(1 + math.cos(math.pi * 17 / 18))


@pytest.mark.parametrize("done", [1, 7, 19])
def test_a_schedule_goes_on_where_it_was(done):
    assert rates(done) == rates(0)[done:]
