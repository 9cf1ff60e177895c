"""What a candidate of a search must keep: accuracy and memory. Pure."""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from bench import units
from bench.record import Record


class Breach(NamedTuple):
    """A demand that is not met; `excess` is how far off as a share of the demand, infinite where
    the figure is missing.
    """

    text: str
    excess: float


@dataclass(frozen=True)
class Demands:
    """Limits, None where there is none.

    Attributes:
        min_accuracy: least top-1 on the device, a fraction.
        max_drop: how far top-1 may lie below that of the default setting, a fraction.
        max_memory: most bytes of peak memory after the runs, as the record defines them.
    """

    min_accuracy: float | None = None
    max_drop: float | None = None
    max_memory: float | None = None

    @property
    def accuracy(self) -> bool:
        """Tell whether images are needed."""
        return self.min_accuracy is not None or self.max_drop is not None

    def breaches(
        self, record: Record, full: float | None, *, accuracy_known: bool = False
    ) -> tuple[Breach, ...]:
        """Return the demands that a record misses; what was not measured misses them.

        Args:
            record: the candidate's.
            full: top-1 of the default setting.
            accuracy_known: the accuracy was judged before, and this record has none.
        """
        accuracy = None if accuracy_known else self._accuracy(record, full)
        return tuple(breach for breach in (accuracy, self._memory(record)) if breach)

    def _accuracy(self, record: Record, full: float | None) -> Breach | None:
        if not self.accuracy:
            return None
        found = record.accuracy.top1 if record.accuracy else None
        least = self._least(full)
        if found is None or least is None:
            return Breach("accuracy not measured", inf)
        if found >= least:
            return None
        text = f"top-1 {units.percent(found)}, below {units.percent(least)}"
        return Breach(text, (least - found) / least)

    def _least(self, full: float | None) -> float | None:
        if self.max_drop is None:
            return self.min_accuracy
        return None if full is None else max(self.min_accuracy or 0.0, full - self.max_drop)

    def _memory(self, record: Record) -> Breach | None:
        if self.max_memory is None:
            return None
        found = record.memory.after_run if record.memory else None
        if found is None:
            return Breach("memory not measured", inf)
        if found <= self.max_memory:
            return None
        text = f"memory {units.size(found)}, above {units.size(self.max_memory)}"
        return Breach(text, found / self.max_memory - 1)
