"""The link's arithmetic, and the link itself between two networks."""

import itertools

import pytest

from devices.shaper import LONGEST_QUEUE_S, Direction, Shape
from tests.hosts.board import Board


def test_a_packet_takes_its_time_on_the_wire_and_the_delay() -> None:
    way = Direction(8.0, Shape(delay=25))
    assert way.due(1000, now=10.0) == pytest.approx(10.0 + 0.001 + 0.025)


def test_packets_wait_for_those_before_them() -> None:
    way = Direction(8.0, Shape())
    assert [way.due(1000, now=0.0) for _ in range(3)] == pytest.approx([0.001, 0.002, 0.003])


def test_a_queue_that_is_full_drops_what_comes() -> None:
    way = Direction(1.0, Shape())
    arrived = [way.due(1250, now=0.0) for _ in range(100)]
    assert arrived[-1] is None
    assert max(filter(None, arrived)) == pytest.approx(LONGEST_QUEUE_S + 0.01, abs=0.011)


def test_jitter_never_changes_the_order() -> None:
    way = Direction(0, Shape(delay=20, jitter=15))
    arrivals = [way.due(100, now=i * 1e-4) or 0.0 for i in range(200)]
    assert arrivals == sorted(arrivals)
    assert len({round(b - a, 6) for a, b in itertools.pairwise(arrivals)}) > 10


def test_the_stated_share_is_lost() -> None:
    way = Direction(0, Shape(loss=0.1))
    lost = sum(way.due(100, now=float(i)) is None for i in range(5000))
    assert lost / 5000 == pytest.approx(0.1, abs=0.02)


@pytest.mark.hosts
def test_a_slow_link_delays_every_answer(board: Board) -> None:
    board.link.use("3g")
    assert min(board.answer_s() for _ in range(3)) >= 0.1  # twice 60 ms, less 10 of jitter each


@pytest.mark.hosts
def test_a_dead_link_carries_nothing_until_it_is_resumed(board: Board) -> None:
    board.link.stop()
    with pytest.raises(TimeoutError):
        board.answer_s(timeout=0.3)
    board.link.resume()
    board.answer_s()
