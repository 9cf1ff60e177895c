import pytest
from msgspec.structs import replace

from bench.record import Throughput
from bench.throughput import throughput
from devices.device import Served
from tests.bench import factory
from tests.bench.records import make_record

MS = 1_000_000


def test_that_of_one_stream_follows_from_its_latencies():
    record = make_record(rounds=((2 * MS, 2 * MS), (4 * MS, 4 * MS), (3 * MS, 1 * MS)))
    found = throughput(replace(record, settings=replace(record.settings, batch=8)))
    assert found.streams == 1
    assert found.per_s == 8 * 500
    assert (found.low, found.high) == (8 * 250, 8 * 500)


def test_the_mean_counts_as_a_slow_inference_takes_its_time():
    assert throughput(make_record(rounds=((1 * MS, 1 * MS, 8 * MS),))).per_s == 300


def test_that_of_several_is_what_they_did_together_in_the_time():
    record = make_record(rounds=((9 * MS,) * 4,) * 3)
    served = tuple(Served(invocations=n, wall_ns=20 * MS) for n in (4.0, 4.5, 5.0))
    record = replace(
        record,
        settings=replace(record.settings, streams=4, batch=2),
        throughput=Throughput(definition="threads", rounds=served),
    )
    found = throughput(record)
    assert (found.streams, found.per_s) == (4, 2 * 4.5 / 0.02)


def test_processes_are_the_unit_of_inference_where_there_are_several():
    record = factory.record(count=24, processes=(4,) * 6)
    alone = throughput(replace(record, processes=()))
    found = throughput(record)
    assert found.per_s == pytest.approx(alone.per_s, rel=0.02)
    assert (found.low, found.high) != (alone.low, alone.high)


def test_a_record_without_samples_has_none():
    assert throughput(make_record(rounds=(), failure="load")) is None
