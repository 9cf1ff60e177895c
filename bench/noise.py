"""A device's noise: how far measurements of one and the same artifact lie apart there.

What differs from process to process (where its memory lies) is in no interval that is computed from
the rounds of one, and what differs from run to run in none at all. It is found by comparing an
artifact with itself, many times.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import platformdirs

from bench import atomic
from bench.ratio import DEVIATE, Sides, estimates
from bench.record import BenchError, Record
from bench.series import student
from bench.stats import binomial_interval

SCHEMA = 1
# Fewer comparisons say too little of how far they scatter.
LEAST = 10
# What is promised to be found is found with this probability.
FOUND = 0.95


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Immutable data that is checked when read."""


class Spread(_Data, frozen=True, kw_only=True):
    """What many comparisons of one artifact with itself showed; shares are fractions of 1.

    `alarms` of them said faster or slower of what is the same: a share between `alarms_low` and
    `alarms_high` with probability 95 %. Beyond `floor` at most 1 % would have; a change must be as
    large as `detectable` to be found there in 95 % of cases.
    """

    comparisons: int
    alarms: int
    alarms_low: float
    alarms_high: float
    floor: float
    detectable: float


class NoiseProfile(_Data, frozen=True, kw_only=True):
    """The noise of one device: `within` one run, and `between` two runs.

    `processes` is how many fresh processes each measurement had, at least.
    """

    schema: int
    fingerprint: str
    device: str
    created: str
    tool_version: str
    artifact: str
    runtime: str
    threads: int
    processes: int = 1
    within: Spread
    between: Spread


def spread(sides: Sequence[Sides]) -> Spread:
    """Reduce comparisons of one artifact with itself.

    Their ratios scatter by more than their intervals explain: what remains of the variance, taken
    one standard error too large, belongs to the processes or runs as a whole, and more rounds do
    not lessen it. The floor is Student's 99 % of that, or the farthest that an interval was seen to
    lie from 1.

    Args:
        sides: the figures of each comparison, at least `LEAST` for a floor worth the name.
    """
    count = len(sides)
    found = estimates(sides)
    seen = float(np.mean(found.value**2))
    own = max(0.0, seen * (1 + math.sqrt(2 / count)) - float(found.variance.mean()))
    beyond = np.maximum(found.low, -found.high)
    floor = max(float(student(DEVIATE, count)) * math.sqrt(own), float(beyond.max()), 0.0)
    # What a change would have to add for the whole interval to pass the floor, either way.
    short = np.concatenate([-found.low, found.high])
    alarms = int((beyond > 0).sum())
    alarms_low, alarms_high = binomial_interval(alarms, count)
    return Spread(
        comparisons=count,
        alarms=alarms,
        alarms_low=alarms_low,
        alarms_high=alarms_high,
        floor=math.expm1(floor),
        detectable=math.expm1(floor + float(np.quantile(short, FOUND))),
    )


def path(fingerprint: str) -> Path:
    """Return where the profile of a device is kept: in the user's state directory."""
    return Path(platformdirs.user_state_dir("edgeworthy")) / "noise" / f"{fingerprint}.json"


def write(profile: NoiseProfile) -> Path:
    """Write a profile, whole or not at all, in the place of an older one; return where.

    Raises:
        BenchError: it cannot be written there.
    """
    place = path(profile.fingerprint)
    atomic.write(place, msgspec.json.format(msgspec.json.encode(profile), indent=2) + b"\n")
    return place


def profiles(fingerprints: Iterable[str]) -> dict[str, NoiseProfile]:
    """Return the profiles of those devices that were calibrated, by fingerprint."""
    found = ((fingerprint, read(fingerprint)) for fingerprint in sorted(set(fingerprints)))
    return {fingerprint: profile for fingerprint, profile in found if profile}


def of(record: Record, known: Mapping[str, NoiseProfile]) -> NoiseProfile | None:
    """Return the noise of a record's device, None where it is not known for such a record.

    What differs from process to process is in the interval of a record of several, and the noise
    of records of one process must not be laid on top of it; nor does that of several do for one.

    Args:
        record: says which device, and whether it was measured in several processes.
        known: profiles by the device's fingerprint.
    """
    found = known.get(record.device.fingerprint)
    return found if found and (found.processes > 1) == record.several else None


def read(fingerprint: str) -> NoiseProfile | None:
    """Return the profile of a device, None if 'bench calibrate' was never run on it.

    Raises:
        BenchError: the file is there, but cannot be read or is no profile.
    """
    place = path(fingerprint)
    try:
        return msgspec.json.decode(place.read_bytes(), type=NoiseProfile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BenchError(
            f"{place} cannot be used: {error}; write it again with 'bench calibrate'"
        ) from None
