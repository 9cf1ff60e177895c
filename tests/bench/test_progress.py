import threading

import pytest

from bench.matrix import Effort
from bench.progress import Follower
from bench.stats import MIN_PROCESSES, MIN_ROUNDS
from tests.bench.fake_device import FakeDevice
from tests.bench.running import cells

ROUND = (1_000_000,) * 3


@pytest.fixture
def follower(tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    return Follower(tmp_path / "records.jsonl", 1)


def follow(root, follower, each, processes, effort):
    """Tell of so many processes of `each` rounds."""
    (cell,) = cells(root, FakeDevice(), effort=effort, patterns=("a",))
    rounds = []
    with follower:
        for _ in range(processes):
            follower.progress(cell, "load", rounds)
            rounds += [ROUND] * each
        follower.progress(cell, "measure", rounds)


def test_the_interval_shows_from_the_fewest_processes_on(root, follower, capsys):
    follow(root, follower, 3, MIN_PROCESSES - 1, Effort(processes=10))
    assert "1.00 ms, 5 processes, 15 rounds" in capsys.readouterr().err


def test_it_is_that_over_processes(root, follower, capsys):
    follow(root, follower, 3, MIN_PROCESSES, Effort(processes=10))
    assert "1.00 ms ± 0.0%, 6 processes, 18 rounds" in capsys.readouterr().err


def test_what_is_sent_to_devices_has_lines_of_its_own(follower, capsys):
    def send(name):
        follower.live(f"sending {name} to pi: 8 of 20 MB, 3 s")
        follower.live("")

    with follower:
        assert follower.is_live
        others = [threading.Thread(target=send, args=(name,)) for name in ("numpy", "litert")]
        for other in others:
            other.start()
        for other in others:
            other.join()
        shown = capsys.readouterr().err
        follower.note("next")
    assert "sending numpy to pi: 8 of 20 MB, 3 s" in shown
    assert "sending litert to pi: 8 of 20 MB, 3 s" in shown
    assert "sending" not in capsys.readouterr().err


def test_of_one_process_it_is_that_over_rounds(root, follower, capsys):
    follow(root, follower, MIN_ROUNDS, 1, Effort())
    assert "1.00 ms ± 0.0%, 10 rounds" in capsys.readouterr().err
