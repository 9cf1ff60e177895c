import pytest
from msgspec.structs import replace

from bench.record import Throughput
from bench.throughput import throughput
from devices.device import Served
from tests.bench import factory
from tests.bench.records import make_record

MS = 1_000_000


def record(*done, batch=1, streams=1, processes=()):
    """Return a record whose rounds did so many invocations in so many milliseconds."""
    base = make_record(rounds=((MS,),) * len(done))
    served = tuple(Served(invocations=count, wall_ns=int(ms * MS)) for count, ms in done)
    settings = replace(base.settings, batch=batch, streams=streams)
    counted = Throughput(definition="scripted", rounds=served)
    return replace(base, settings=settings, throughput=counted, processes=processes)


def test_it_is_the_median_over_rounds_of_samples_per_second():
    found = throughput(record((2, 4), (2, 8), (4, 4), batch=8))
    assert (found.streams, found.per_s) == (1, 8 * 500)
    assert (found.low, found.high) == (8 * 250, 8 * 1000)


def test_that_of_several_streams_counts_what_they_began_by_its_share():
    found = throughput(record((4.0, 20), (4.5, 20), (5.0, 20), batch=2, streams=4))
    assert (found.streams, found.per_s) == (4, 2 * 4.5 / 0.02)


def test_processes_are_the_unit_of_inference_where_there_are_several():
    rounds = [(10, 10 + number) for number in range(24)]
    alone, several = (throughput(record(*rounds, processes=p)) for p in ((), (4,) * 6))
    assert several.per_s == pytest.approx(alone.per_s, rel=0.05)
    assert (several.low, several.high) != (alone.low, alone.high)


def test_where_nobody_asked_there_is_none():
    assert throughput(factory.record()) is None
    assert throughput(record()) is None
