"""How long measuring over links may take, told before it begins."""

import pytest

from bench.forecast import SETTING_UP_S, longest_s, told
from bench.matrix import Effort
from devices.network import PROFILES, Profile, profiles
from tests.bench.fake_device import FakeDevice
from tests.bench.running import cells

NONE = Profile("none", None, None, 0)


@pytest.fixture
def cell(root):
    return cells(root, FakeDevice(), effort=Effort(max_seconds=10), patterns=["a"])[0]


def test_without_a_link_it_is_the_samples_and_warming_up(cell):
    assert longest_s(cell, NONE) == SETTING_UP_S + 30


def test_round_trips_and_bits_come_on_top(cell):
    link = Profile("slow", 1, 0.5, 100)
    one = 0.1 + 32 * 64 / 0.5e6 + 32 * 10 / 1e6
    requests = (longest_s(cell, link) - longest_s(cell, NONE)) / one
    assert requests == pytest.approx(round(requests))
    assert requests > len(cell.artifact.manifest.golden)


def test_more_processes_connect_more_often(root, cell):
    (several,) = cells(
        root, FakeDevice(), effort=Effort(max_seconds=10, processes=6), patterns=["a"]
    )
    assert longest_s(several, PROFILES["3g"]) > longest_s(cell, PROFILES["3g"])


def test_a_sweep_is_told_as_its_links_and_their_time(cell):
    text = told((cell, link) for link in profiles("sweep"))
    assert text.startswith("9 links x 1 artifact: 5 min at most (10 s of samples each")
    assert told([(cell, NONE)]).startswith("1 link x 1 artifact: 31 s at most")
