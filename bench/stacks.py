"""Lists of unlike lengths as arrays: those of one length are stacked, so that one call does for all
of them, and many records cost little more than one. Pure.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", np.int64, np.float64)
Indices = npt.NDArray[np.intp]


def stacks(
    values: npt.NDArray[Number], lengths: Sequence[int]
) -> Iterator[tuple[Indices, npt.NDArray[Number]]]:
    """Yield the parts of each length: their numbers, shape (parts,), and what they hold.

    Args:
        values: all parts one after the other, shape (sum of the lengths, ...).
        lengths: of each part.

    Yields:
        The parts, shape (parts, length, ...), once for each length; not to be written to.
    """
    if len(set(lengths)) == 1:
        yield np.arange(len(lengths)), values.reshape(len(lengths), lengths[0], *values.shape[1:])
        return
    every = np.asarray(lengths, dtype=np.intp)
    starts = every.cumsum() - every
    for length in np.unique(every):
        numbers = np.flatnonzero(every == length)
        yield numbers, values[starts[numbers, None] + np.arange(length)]


def stretches(lengths: Sequence[int]) -> Iterator[slice]:
    """Yield where each part lies among all parts one after the other."""
    start = 0
    for length in lengths:
        yield slice(start, start + length)
        start += length
