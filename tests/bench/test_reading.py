import statistics

import numpy as np
import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from bench import stats
from bench.compare import SAME_ARTIFACT, Rule, compare, compare_all
from bench.reading import CHUNK, reading, readings
from bench.record import ColdStart, EndToEnd, Failure
from bench.rows import rows
from bench.verdict import verdict
from tests.bench.factory import MS, manifest, record
from tests.bench.series import usage

NET = manifest()


def plain(readings):
    """Return all that readings hold, the arrays as lists."""
    return [to_builtins(one, enc_hook=lambda array: array.tolist()) for one in readings]


def varied(count, seed):
    """Return records of one or of several processes: steady, drifting, of two levels, failed."""
    random = np.random.default_rng(seed)
    for number in range(count):
        rounds = int(random.choice([4, 10, 12, 20]))
        level = 4 * MS * random.lognormal(0, 0.05) * random.lognormal(0, 0.004, rounds)
        level *= 1 + random.choice([0, 0.01]) * np.arange(rounds)
        level *= 1 + random.choice([0, 0.1]) * random.integers(0, 2, rounds)
        times = level[:, None] * random.lognormal(0, 0.001, (rounds, 5))
        made = record(NET, threads=number % 40 + 1, batch=number // 40 + 1)
        yield replace(
            made,
            rounds=tuple(tuple(map(int, samples)) for samples in times),
            processes=(1,) * rounds if random.integers(0, 2) else (),
            proof=replace(made.proof, verified=random.choice([True, True, True, None, False])),
        )


def mixed(count, seed):
    """Return records of every kind, with all that a device may tell of them or not tell."""
    random = np.random.default_rng(seed)

    def either(*options):
        return options[random.integers(len(options))]

    for made in varied(count, seed):
        rounds = tuple(each[: random.integers(1, 6)] for each in made.rounds)
        rounds = either(made.rounds, rounds, rounds[:1], ((MS, MS, MS + 1),) * 12, ())
        several = (2,) * (len(rounds) // 2) + (1,) * (len(rounds) % 2)
        took = usage(len(rounds), lost=either(0, 0.1), others=0.3, told=either(True, False))
        start = either(120 * MS, None)
        cold = [ColdStart(start_ns=start, import_ns=None, load_ns=n, first_ns=7) for n in (9, 8)]
        copies = EndToEnd(definition="copies", rounds=rounds[:3])
        settings = replace(made.settings, threads=either(1, 1, 4, None), streams=either(None, 1, 4))
        yield replace(
            made,
            rounds=rounds,
            processes=either((), (1,) * len(rounds), several),
            usage=either((), took, took[:1]),
            cold=tuple(either((), cold, cold[:1])),
            end_to_end=either(None, copies) if rounds else None,
            settings=settings,
            device=either(made.device, replace(made.device, emulated=True, counts="instructions")),
            failure=either(None, None, Failure(stage="load", cause="died", detail="why")),
            beside=either(False, True),
        )


@pytest.mark.parametrize("seed", range(4))
def test_records_of_every_kind_are_read_together_as_each_alone(seed):
    made = list(mixed(CHUNK + 7, seed))
    together, alone = list(readings(made)), [reading(one) for one in made]
    assert plain(together) == plain(alone)
    words = {one.verdict.word for one in together}
    assert words >= {"valid", "too short", "contended", "wrong", "failed", "emulated", "unproved"}
    assert any(one.verdict.exact for one in together)


def test_many_at_once_are_read_as_each_alone():
    made = list(varied(2 * CHUNK + 7, seed=1))
    together = list(readings(made))
    assert [one.verdict for one in together] == [verdict(one) for one in made]
    assert {one.verdict.word for one in together} >= {"valid", "drifting", "noisy", "too short"}
    assert rows(together) == rows(made)
    assert [r.key for r in together] == [r.key for r in made]


def test_the_figures_are_those_of_the_samples():
    for made in varied(200, seed=2):
        figures = reading(made).figures
        assert figures.rounds.tolist() == [statistics.median(r) for r in made.rounds]
        assert figures.medians.tolist() == stats.units(made.rounds, made.processes).tolist()
        tails = stats.units(made.rounds, made.processes, stats.p90s)
        assert figures.p90s.tolist() == tails.tolist()
        assert figures.summary == stats.summary(made)


def test_readings_compare_as_their_records_do():
    before, after = list(varied(300, seed=3)), list(varied(300, seed=4))
    found = compare_all(readings(before), readings(after), SAME_ARTIFACT, Rule()).pairs
    alone = {c.a: c for c in map(compare, before, after)}
    assert {pair.a: pair.word for pair in found} == {a: c.word for a, c in alone.items()}
    for pair in found:
        assert pair.time.low == pytest.approx(alone[pair.a].time.low)


def test_a_reading_holds_no_samples_and_is_not_read_twice():
    made = reading(record(NET))
    assert made.sampled
    assert (made.rounds, made.usage, made.cold) == ((), (), ())
    assert reading(made) is made
    assert not reading(record(NET, count=0)).sampled
