import pytest
from msgspec.structs import replace

from bench import noise
from bench.duel import UndecidableError, WrongError, fight, floor
from bench.matrix import Effort
from bench.progress import Follower
from bench.record_file import read
from devices.device import WorkerError
from tests.bench.fake_device import FakeDevice, Script
from tests.bench.running import cells
from tests.bench.test_noise import PROFILE

EFFORT = Effort(max_seconds=60.0, processes=10, max_slowdown=0.03)


@pytest.fixture(autouse=True)
def _no_profiles(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def fought(root, tmp_path, now, before=None, effort=EFFORT):
    """Let b be held against a."""
    device = FakeDevice({"a": before or Script(own=0.005), "b": now})
    pair = cells(root, device, effort=effort, patterns=("a", "b"))
    with Follower(tmp_path / "records.jsonl", 2) as follower:
        return fight(*pair, follower)


def test_what_is_clearly_slower_ends_it_after_the_fewest_processes(root, tmp_path):
    found = fought(root, tmp_path, Script(ns=1.2e6, own=0.005))
    assert (found.word, found.exit_code) == ("slower", 1)
    assert (found.processes, found.rounds) == (10, 50)
    assert found.low < 1.2 < found.high
    assert found.spent < 0.1


def test_what_is_as_quick_passes_early(root, tmp_path):
    found = fought(root, tmp_path, Script(own=0.005))
    assert (found.word, found.exit_code) == ("within", 0)
    assert found.high <= 1.03
    assert found.spent < 0.2


def test_it_goes_on_while_that_is_open_and_says_so_when_the_time_is_up(root, tmp_path):
    found = fought(
        root,
        tmp_path,
        Script(ns=1.03e6, own=0.02),
        effort=Effort(max_seconds=20, processes=10, max_slowdown=0.03),
    )
    assert (found.word, found.exit_code) == ("undecided", 3)
    assert found.processes > 40
    assert 1 <= found.spent < 1.1


def test_both_records_are_kept_the_one_in_question_last(root, tmp_path):
    fought(root, tmp_path, Script(ns=1.2e6, own=0.005))
    before, now = read(tmp_path / "records.jsonl")
    assert [r.manifest.network.name for r in (before, now)] == ["a", "b"]
    assert (before.stop, now.stop) == ("decided", "decided")
    assert before.processes == now.processes


def test_in_one_process_each_it_is_asked_after_every_round(root, tmp_path):
    one = Effort(max_seconds=60.0, max_slowdown=0.03)
    found = fought(root, tmp_path, Script(ns=1.2e6), Script(), one)
    assert (found.word, found.processes, found.rounds) == ("slower", 1, 10)


def test_a_wrong_answer_decides_nothing_but_fails(root, tmp_path):
    with pytest.raises(WrongError, match="proof failed") as error:
        fought(root, tmp_path, Script(wrong=True))
    assert error.value.exit_code == 1


def test_where_one_dies_the_other_is_measured_to_its_end(root, tmp_path):
    dies = Script(fails={("measure", 9): WorkerError("measure", "died", "gone")})
    with pytest.raises(UndecidableError, match="failed: measure: died: gone") as error:
        fought(root, tmp_path, dies)
    assert error.value.exit_code == 3
    failed, other = read(tmp_path / "records.jsonl")
    assert (failed.stop, other.stop) == ("failed", "precise")


def test_where_the_link_breaks_both_are_measured_again_from_the_beginning(root, tmp_path, capsys):
    cut = WorkerError("measure", "transport", "the link is cut")
    slower = Script(ns=1.2e6, own=0.005)
    once = Script(fails={("measure", 9): cut}, then=dict.fromkeys(range(2, 100), slower))
    assert fought(root, tmp_path, once).word == "slower"
    before, now = read(tmp_path / "records.jsonl")
    assert (before.failure, now.failure) == (None, None)
    assert (before.group, before.processes) == (now.group, now.processes)
    assert "fake: the link is cut; trying again in 1 s" in capsys.readouterr().err


def test_the_noise_is_that_within_one_run_of_as_many_processes(root):
    cell = cells(root, FakeDevice(), effort=EFFORT, patterns=("a",))[0]
    assert floor(cell) is None
    known = replace(PROFILE, fingerprint=cell.target.info.fingerprint)
    noise.write(replace(known, processes=1))
    assert floor(cell) is None
    noise.write(replace(known, processes=10))
    assert floor(cell) == PROFILE.within.floor
