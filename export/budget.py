"""How many steps of an export run at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """Lets processes start while a slot is free and their estimated memory fits, or none runs."""

    def __init__(self, slots: int, available: int) -> None:
        self._slots, self._available = slots, available
        self._running = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, need: int) -> Iterator[None]:
        """Wait for a slot and `need` bytes; give them back afterwards."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(need))
            self._running += 1
            self._available -= need
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._available += need
                self._changed.notify_all()

    def _fits(self, need: int) -> bool:
        return not self._running or (self._running < self._slots and need <= self._available)
