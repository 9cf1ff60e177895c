import numpy as np
import pytest

from bench import simulate
from bench.simulate import NOISES, interleaved, spaced


def drawn(name, series, rounds):
    a, b = interleaved(NOISES[name], np.random.default_rng(0), series, rounds)
    return b - a


def test_it_is_reproducible_from_the_seed():
    assert (drawn("all of these", 3, 20) == drawn("all of these", 3, 20)).all()


@pytest.mark.parametrize("name", NOISES)
def test_neither_artifact_is_favoured(name):
    differences = drawn(name, 500, 50)
    share = np.mean(differences > 0)
    assert share == pytest.approx(0.5, abs=0.02)


def test_numbers_of_rounds_grow_by_a_share_and_end_at_the_last():
    assert spaced(20, 10, 1.3) == [10, 13, 17, 20]


def test_a_round_keeps_one_invocation_less_than_it_makes():
    machine = simulate.machines(NOISES["white"], np.random.default_rng(0), 2, 6)
    kept = simulate.scatter(machine, np.random.default_rng(0))
    assert kept.shape == (2, 6, simulate.INVOCATIONS - 1)


def test_artifacts_go_on_in_fresh_processes():
    noise = NOISES["process effects"]
    a, b = simulate.processes(noise, np.random.default_rng(0), 300, 10, 3)
    assert a.shape == b.shape == (300, 10)
    assert np.std(b - a) == pytest.approx(0.03 * np.sqrt(2), rel=0.05)


def test_a_new_process_has_a_state_of_its_own():
    noise = NOISES["own layout"]
    short = simulate.machines(noise, np.random.default_rng(0), 200, 40, life=4)
    own = (short.a - short.b).reshape(200, 10, 4)
    assert np.ptp(own, axis=2).max() < 1e-12
    assert np.std(own[..., 0]) == pytest.approx(0.003 * np.sqrt(2), rel=0.1)
