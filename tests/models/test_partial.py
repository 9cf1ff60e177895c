"""The state between two epochs: written whole, read without code, refused where it does not fit."""

import pickle
from dataclasses import replace

import pytest
import torch

from models.family import ModelError
from models.partial import Partial, optimizer_tensors, read, restore_optimizer, snapshot, write
from models.training_log import Epoch

ROW = Epoch(1, 0.1, 2.0, 0.5, None, 0.25, None, 3.0)


@pytest.fixture
def state():
    return Partial(
        log=[ROW, replace(ROW, epoch=2)],
        learner={"a.weight": torch.randn(3, 2), "a.count": torch.tensor(4)},
        best={"a.weight": torch.randn(3, 2)},
        optimizer={"0/momentum_buffer": torch.randn(3, 2)},
        random=torch.random.get_rng_state(),
    )


def test_what_was_written_is_read(state, tmp_path):
    write(tmp_path / "a.partial", state, {"epochs": 2, "lr": 0.1})
    found = read(tmp_path / "a.partial", {"epochs": 2, "lr": 0.1})
    assert found.log == state.log
    assert torch.equal(found.random, state.random)
    for part in ("learner", "best", "optimizer"):
        ours, theirs = getattr(state, part), getattr(found, part)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert [path.name for path in tmp_path.iterdir()] == ["a.partial"]


def test_another_command_is_refused_by_the_setting_that_differs(state, tmp_path):
    write(tmp_path / "a.partial", state, {"epochs": 2, "lr": 0.1})
    with pytest.raises(ModelError, match=r"with lr 0\.1, not 0\.2; repeat its command"):
        read(tmp_path / "a.partial", {"epochs": 2, "lr": 0.2})


@pytest.mark.parametrize("content", [b"", b"nonsense" * 9, pickle.dumps({"a": 1})])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "a.partial").write_bytes(content)
    with pytest.raises(ModelError, match="is damaged; start again with --force"):
        read(tmp_path / "a.partial", {})


def test_other_safetensors_are_no_state(tmp_path):
    from safetensors.torch import save_file

    save_file({"random": torch.zeros(2)}, tmp_path / "a.partial")
    with pytest.raises(ModelError, match="is damaged"):
        read(tmp_path / "a.partial", {})


def test_without_a_file_there_is_nothing_to_resume(tmp_path):
    with pytest.raises(ModelError, match=r"nothing to resume: no .*; leave --resume out"):
        read(tmp_path / "a.partial", {})


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_an_optimizer_finds_its_memory_again(kind):
    torch.manual_seed(0)
    settings = {"lr": 0.1} | ({"momentum": 0.9} if kind is torch.optim.SGD else {})
    first = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    second = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    steps = [kind(module.parameters(), **settings) for module in (first, second)]
    x = torch.randn(2, 3, 8, 8)

    def learn(module, optimizer):
        optimizer.zero_grad()
        module(x).square().mean().backward()
        optimizer.step()

    learn(first, steps[0])
    second.load_state_dict(first.state_dict())
    kept = {key: value.clone() for key, value in optimizer_tensors(steps[0]).items()}
    restore_optimizer(steps[1], kept)
    for module, optimizer in zip((first, second), steps, strict=True):
        learn(module, optimizer)
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_a_snapshot_does_not_follow_the_training():
    layer = torch.nn.Linear(2, 2)
    kept = snapshot(layer)
    with torch.no_grad():
        layer.weight.add_(1)
    assert not torch.equal(kept["weight"], layer.weight)
