"""What there is to be measured on, found without being told; every question has a time limit."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from devices.device import Device

T = TypeVar("T")


class Found(NamedTuple):
    """A device that a kind found by itself.

    Attributes:
        name: what it goes by without an entry in devices.toml, as its serial.
        kind: of `devices.registry.KINDS`.
        state: ready, unauthorised, offline or unavailable.
        reason: why it is not ready and what to do, one line; empty where it is.
        labels: what else finds it, as its model's name and its serial.
        device: None where it is not ready.
    """

    name: str
    kind: str
    state: str
    reason: str
    labels: tuple[str, ...]
    device: Device | None


def side_by_side(
    tasks: Sequence[Callable[[], T]], seconds: float, late: Callable[[int], T]
) -> list[T]:
    """Return every task's result, in order, once all are there or the time is over.

    Args:
        tasks: run in a thread each; they raise nothing. One that is late goes on by itself, and
            does not keep the program from ending.
        seconds: for all of them together.
        late: gives a result in place of that of a task, by its number, which is not there in time.
    """
    done: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()

    def run(number: int) -> None:
        done.put((number, tasks[number]()))

    for number in range(len(tasks)):
        threading.Thread(target=run, args=(number,), daemon=True).start()
    end, results = time.monotonic() + seconds, dict[int, T]()
    while len(results) < len(tasks):
        try:
            number, result = done.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        results[number] = result
    return [results[n] if n in results else late(n) for n in range(len(tasks))]
