"""The words of ``--budget``, and what meets them."""

import pytest
from msgspec.structs import replace

from bench.candidate import Terms, candidates
from bench.constraints import KEYS, parse
from bench.record import BenchError
from tests.bench.clouds import clouded, link
from tests.bench.factory import MS, manifest, record

TERMS = Terms(per_day=1000)
(EDGE,) = candidates([record(manifest(size=4_000_000), 10.0, top1=0.9)])
(CLOUD,) = candidates([clouded(None, link(), top1=0.94)])


def judged(text, candidate=EDGE, terms=TERMS):
    (constraint,) = parse(text)
    return constraint.judge(candidate, terms)


@pytest.mark.parametrize(
    ("met", "missed", "reason"),
    [
        ("latency=10.5ms", "latency=9ms", "above 9ms"),
        ("p90=12ms", "p90=9ms", "above 9ms"),
        ("size=4MB", "size=3.9MB", "size 4.00 MB, above 3.9MB"),
        ("memory=50MB", "memory=40MB", "memory 50.0 MB, above 40MB"),
        ("accuracy=87%", "accuracy=92%", "accuracy 90.00 % of 1000 images, below 92%"),
    ],
)
def test_a_limit_is_kept_at_itself_and_missed_beyond(met, missed, reason):
    assert judged(met).word == "meets"
    found = judged(missed)
    assert found.word == "misses"
    assert found.reason.endswith(reason)


def test_an_interval_around_the_limit_cannot_be_told():
    around = replace(EDGE, low_ns=9.8 * MS, high_ns=10.2 * MS)
    found = judged("latency=10ms", around)
    assert found == ("cannot tell", "latency 9.80 ms to 10.2 ms, around 10ms")


def test_an_accuracy_is_of_so_many_images_and_its_interval_is_wilsons():
    few = replace(EDGE, top1=0.9, images=100)
    # Newcombe (1998) gives the formula; 90 of 100 lie between 82.56 % and 94.48 %.
    assert judged("accuracy=90%", few) == (
        "cannot tell",
        "accuracy 82.56 % to 94.48 % of 100 images, around 90%",
    )
    assert judged("accuracy=82%", few).word == "meets"
    assert judged("accuracy=95%", few).word == "misses"
    assert judged("accuracy=89.9%", replace(few, images=1_000_000)).word == "meets"


def test_a_month_of_data_is_thirty_days_of_both_ways():
    # 101 kB x 1000 a day x 30 days
    assert judged("data=3.03GB", CLOUD).word == "meets"
    assert judged("data=3.02GB", CLOUD).word == "misses"
    assert judged("data=1B").word == "meets"


@pytest.mark.parametrize("flag", ["offline", "private"])
def test_the_cloud_is_neither_offline_nor_private(flag):
    assert judged(flag).word == "meets"
    assert judged(flag, CLOUD).word == "misses"


@pytest.mark.parametrize("text", ["memory=1GB", "accuracy=1%", "energy=9J"])
def test_what_was_not_measured_meets_nothing(text):
    unknown = replace(EDGE, memory_bytes=None, top1=None, energy_j=None)
    key = text.partition("=")[0]
    assert judged(text, unknown) == ("misses", f"{key} not measured")


def test_an_estimate_of_energy_meets_no_budget_and_a_measurement_does():
    assert EDGE.arithmetic_j
    assert judged("energy=9J").word == "misses"
    assert judged("energy=10mJ", replace(EDGE, energy_j=0.01)).word == "meets"


def test_several_are_read_with_blanks_between():
    assert [(c.key, c.text) for c in parse("latency = 50ms, size=5MB ,offline")] == [
        ("latency", "50ms"),
        ("size", "5MB"),
        ("offline", "offline"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("latencey=5ms", "unknown key 'latencey'; did you mean 'latency'?"),
        ("colour=red", f"there are {', '.join(KEYS)}"),
        ("", "unknown key ''"),
        ("latency=5", "has no unit"),
        ("size=5ms", "has the unknown unit 'ms'; use one of B, kB"),
        ("accuracy", 'write it like "90%"'),
        ("accuracy=190%", "nothing can reach 190%; write a share up to 100%"),
        ("offline=yes", "offline takes no value"),
        ("size=5MB,size=6MB", "gives size twice"),
    ],
)
def test_a_budget_that_cannot_be_read_says_what_would_do(text, says):
    with pytest.raises(BenchError, match="--budget") as error:
        parse(text)
    assert says in str(error.value)
