"""Training: the same bits from the same plan, interrupted or not, and a network that learns."""

import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn

from models.accuracy import evaluate
from models.augmentation import training_batches
from models.checkpoint import create
from models.family import ModelError
from models.learner import preprocessing_for
from models.recipe import Recipe, recipe_for
from models.registry import resolve
from models.training import Plan, hold_out, reproducible, train
from models.training_log import best_epoch
from models.transfer import Transfer

QUICK = Recipe(epochs=2, batch=32, lr=0.05)


def plan(name="lenet5", recipe=QUICK, **settings):
    return Plan(resolve(name), recipe, **settings)


class Stop(Exception):
    pass


def interrupt_in(epoch):
    def progress(step):
        if step.epochs_done > epoch - 1:
            raise Stop

    return progress


@pytest.mark.parametrize("name", ["lenet5", "mobilenet_v1_0.25_32"])
def test_the_same_seed_gives_the_same_bits(small, digest, name):
    torch.manual_seed(7)
    first = train(plan(name, seed=1), small).module
    torch.manual_seed(8)
    again = train(plan(name, seed=1), small).module
    assert digest(first) == digest(again)
    assert digest(train(plan(name, seed=2), small).module) != digest(first)


def plain_loop(spec, data, recipe):
    """From scratch in the fewest words; what `train` adds must not move a bit of it."""
    how = preprocessing_for(spec, data)
    torch.manual_seed(0)
    module = create(spec, classes=len(data.classes), channels=how.channels)
    module.to(memory_format=torch.channels_last)
    dense = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    decayed = [m.weight for m in dense if m.weight.shape[1] > 1 or getattr(m, "groups", 1) == 1]
    free = [p for p in module.parameters() if not any(p is weight for weight in decayed)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free}]
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=0.0)
    else:
        optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)
    steps = recipe.epochs * recipe.steps(len(data))
    warm = max(1, round(recipe.warm_up * steps))
    step = 0
    for epoch in range(recipe.epochs):
        for x, labels in training_batches(data, how, recipe, 0, epoch):
            fall = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr * ((step + 1) / warm if step < warm else fall)
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), labels).backward()
            optimizer.step()
            step += 1
    return module


@pytest.mark.parametrize("name", ["lenet5", "mobilenet_v1_0.25_32"])
def test_training_from_scratch_is_the_plain_loop_to_the_bit(small, digest, name):
    spec = resolve(name)
    recipe = replace(recipe_for(spec), epochs=2, batch=32)
    with reproducible(0, threads=1):
        plain = plain_loop(spec, small, recipe)
    assert digest(train(Plan(spec, recipe), small).module) == digest(plain)


def test_the_random_state_and_the_threads_are_as_before(small):
    torch.manual_seed(3)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    train(plan(threads=2), small)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_network_learns_what_can_be_learnt(halves, optimizer):
    lr = 0.05 if optimizer == "sgd" else 0.003
    recipe = Recipe(epochs=20, batch=8, lr=lr, optimizer=optimizer)
    done = train(plan("mobilenet_v1_0.25_32", recipe), halves)
    assert evaluate(done.module, halves, done.preprocessing).top1 > 0.95
    assert done.log[-1].loss < done.log[0].loss
    assert done.log[-1].train_top1 > done.log[0].train_top1


def test_steps_are_told_and_the_last_of_an_epoch_carries_its_row(small):
    told = []
    done = train(plan(), small, progress=told.append)
    assert [step.epochs_done for step in told] == [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert all(step.loss > 0 for step in told)
    assert [step.row for step in told] == [None, None, None, done.log[0]] + [None] * 3 + [
        done.log[1]
    ]


def test_classifiers_half_way_learn_too_but_are_not_asked_afterwards(small):
    spec = replace(resolve("googlenet"), size=(64, 64))
    done = train(Plan(spec, Recipe(epochs=1, batch=10, lr=0.01)), small.sample(20, 0))
    assert isinstance(done.module(torch.zeros(1, 1, 64, 64)), torch.Tensor)
    bias = done.module.aux1.fc2.bias
    assert bias.abs().sum() > 0


def test_a_single_image_left_over_is_no_step(small):
    told = []
    train(plan("mobilenet_v1_0.25_32"), small.sample(33, 0), progress=told.append)
    assert [step.epochs_done for step in told] == [1, 2]


def test_one_image_is_too_few(small):
    with pytest.raises(ModelError, match=r"1 images of .* are too few to train on"):
        train(plan(), small.sample(1, 0))


def test_a_rate_too_high_is_told_in_one_line(small):
    wild = replace(QUICK, lr=1e30, warm_up=0.0)
    with pytest.raises(ModelError, match=r"training diverged in epoch \d: lower --lr"):
        train(plan("mobilenet_v1_0.25_32", wild), small)


def test_the_rate_of_the_log_rises_and_falls(small):
    rates = [row.lr for row in train(plan(recipe=replace(QUICK, epochs=5)), small).log]
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < rates[0] <= QUICK.lr


def test_held_out_images_are_not_seen_and_hold_every_class(small):
    seen, held = hold_out(small, 0.2, seed=0)
    assert (len(seen), len(held)) == (80, 20)
    assert {*seen.rows, *held.rows} == {*small.rows}
    assert sorted(held.labels) == sorted(list(range(10)) * 2)
    assert hold_out(small, 0.0, seed=0) == (small, None)


def test_the_best_epoch_on_held_out_images_is_kept(halves):
    recipe = Recipe(epochs=6, batch=8, lr=0.05, shift=0)
    done = train(plan("mobilenet_v1_0.25_32", recipe, hold_out=0.25), halves)
    _, held = hold_out(halves, 0.25, seed=0)
    kept = done.log[done.best - 1].val_top1
    assert kept == max(row.val_top1 for row in done.log)
    assert evaluate(done.module, held, done.preprocessing).top1 == kept


def test_patience_ends_a_training_that_gets_no_better(small):
    idle = Recipe(epochs=50, batch=32, lr=1e-12)
    done = train(plan(recipe=idle, hold_out=0.2, patience=3), small)
    assert (done.best, len(done.log)) == (1, 4)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lenet5", {"recipe": replace(QUICK, epochs=4, optimizer="adamw", lr=1e-3)}),
        ("mobilenet_v1_0.25_32", {"recipe": replace(QUICK, epochs=4), "hold_out": 0.2}),
        ("mobilenet_v1_0.25_32", {"recipe": replace(QUICK, epochs=4), "aware": True}),
    ],
)
def test_a_training_interrupted_twice_ends_in_the_same_bits(
    small, digest, tmp_path, name, settings
):
    if settings.pop("aware", False):
        weights = resolve("mobilenet_v1_0.25_64@fashion-mnist").weights
        settings["transfer"] = Transfer(weights, 1.0, quantize_aware=True)
    whole = train(plan(name, **settings), small)
    state = tmp_path / "a.partial"
    for epoch in (2, 4):
        with pytest.raises(Stop):
            train(
                plan(name, **settings),
                small,
                state=state,
                resume=epoch > 2,
                progress=interrupt_in(epoch),
            )
    resumed = train(plan(name, **settings), small, state=state, resume=True)
    assert digest(resumed.module) == digest(whole.module)
    assert [replace(row, seconds=0) for row in resumed.log] == [
        replace(row, seconds=0) for row in whole.log
    ]


def test_random_numbers_go_on_where_they_were(small, tmp_path):
    """As dropout draws them; here what is told of the steps does."""

    def drawn(state, resume=False, stop=None):
        numbers = []

        def progress(step):
            numbers.append(float(torch.rand(1)))
            if stop and step.epochs_done > stop:
                raise Stop

        with nullcontext() if stop is None else pytest.raises(Stop):
            train(plan(), small, state=state, resume=resume, progress=progress)
        return numbers

    whole = drawn(tmp_path / "whole.partial")
    drawn(tmp_path / "a.partial", stop=1)
    assert drawn(tmp_path / "a.partial", resume=True) == whole[4:]


def test_a_state_of_another_command_is_refused(small, tmp_path):
    state = tmp_path / "a.partial"
    train(plan(), small, state=state)
    other = plan(recipe=replace(QUICK, epochs=3))
    with pytest.raises(ModelError, match="is of a training with epochs 2, not 3"):
        train(other, small, state=state, resume=True)
    with pytest.raises(ModelError, match="is of a training with images"):
        train(plan(), small.sample(50, 0), state=state, resume=True)


def test_a_new_head_is_told_before_it_is_trained(halves):
    notes = []
    weights = resolve("lenet5@fashion-mnist").weights
    train(plan(transfer=Transfer(weights)), halves, note=notes.append)
    assert notes == ["the classes of halves are others: the network gets a new head"]


def test_the_best_of_a_log_is_the_first_of_equals(small):
    done = train(plan(recipe=Recipe(epochs=2, batch=32, lr=1e-12), hold_out=0.2), small)
    assert done.log[0].val_top1 == done.log[1].val_top1
    assert best_epoch(done.log) == 1
