"""A server's latency over links that were not measured, estimated from those that were. Pure.

    latency = work + overhead + 8 x request / up + 8 x response / down + n x round trip

The work (encoding, queue, computing) is measured; so is what the network and the protocol add to
it, of which the bits on the wire are subtracted. What remains is a line over the round trips of the
links measured: its slope is n, its height the overhead; each link counts by its relative error, or
a slow one's milliseconds would be all of a quick one. TCP's slow start and lost packets are in n
and in the overhead, as far as the measured links show them.
"""

from collections.abc import Iterable, Sequence
from statistics import median
from urllib.parse import urlsplit

import msgspec
import numpy as np
import numpy.typing as npt

from bench.candidate import AS_IS, Shares, candidates
from bench.record import Link, Record

# Nanoseconds that a bit takes at 1 Mbit/s, and nanoseconds of a millisecond.
BIT, MS = 1e3, 1e6
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
RATES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
ROUND_TRIPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A measured link: what the model makes of it, in nanoseconds. `key` is the record's."""

    key: str
    network: str
    up_mbit: float | None
    down_mbit: float | None
    rtt_ms: float
    measured_ns: float
    estimated_ns: float

    @property
    def error(self) -> float:
        """The estimate's error as a fraction of what was measured."""
        return self.estimated_ns / self.measured_ns - 1


class LinkModel(msgspec.Struct, frozen=True, kw_only=True):
    """The latency of one artifact on one server as a function of the link; times in nanoseconds.

    `fitted`: `round_trips` was found from links of different round trips, else it is taken to be 1,
    the least that a request needs.
    """

    model: str
    variant: str
    device: str
    payload: str
    work_ns: float
    overhead_ns: float
    round_trips: float
    fitted: bool
    request_bytes: int
    response_bytes: int
    checks: tuple[Check, ...] = ()

    @property
    def name(self) -> str:
        """Return ``model/variant by HOST, jpeg``."""
        return f"{self.model}/{self.variant} by {self.device}, {self.payload}"

    @property
    def error(self) -> float | None:
        """The largest error over the measured links; None where one link cannot show any."""
        return max(abs(check.error) for check in self.checks) if len(self.checks) > 1 else None

    def same_both_ways(self, up_mbit: float | None, down_mbit: float | None) -> float | None:
        """Return the rate, in Mbit/s and the same both ways, over which a request's bits take as
        long; None: it has no limit.
        """
        wire = _wire(self.request_bytes, self.response_bytes, up_mbit, down_mbit)
        return 8 * (self.request_bytes + self.response_bytes) * BIT / wire if wire else None

    def fixed_ns(self, rtt_ms: float) -> float:
        """Return what a request takes at a rate without limit."""
        return self.work_ns + self.overhead_ns + self.round_trips * rtt_ms * MS

    def estimate(self, up_mbit: float | None, down_mbit: float | None, rtt_ms: float) -> float:
        """Return nanoseconds end to end; a rate of None has no limit."""
        return self.fixed_ns(rtt_ms) + _wire(
            self.request_bytes, self.response_bytes, up_mbit, down_mbit
        )

    def least_rate(self, limit_ns: float, rtt_ms: float) -> float | None:
        """Return from which rate on, in Mbit/s and the same both ways, a request takes less than
        `limit_ns`; None: at none.
        """
        left = limit_ns - self.fixed_ns(rtt_ms)
        bits = 8 * (self.request_bytes + self.response_bytes)
        return bits * BIT / left if left > 0 else None

    def longest_round_trip(self, limit_ns: float) -> float:
        """Return below which round trip, in ms, a request takes less than `limit_ns` at a rate
        without limit; 0: at none.
        """
        return max(0.0, (limit_ns - self.fixed_ns(0.0)) / self.round_trips / MS)


class _Point(msgspec.Struct, frozen=True):
    """A measured link, and what the network and the protocol added on it beyond the bits."""

    key: str
    network: str
    up_mbit: float | None
    down_mbit: float | None
    rtt_ms: float
    measured_ns: float
    stages: Shares
    beyond_ns: float


def models(records: Iterable[Record]) -> list[LinkModel]:
    """Return a model of each artifact and payload on a server that was measured over a known link.

    Known are shaped links, and this machine's own network (a round trip of none, no limit).
    """
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if record.cloud and record.sampled:
            cloud = record.cloud
            how = (cloud.url, cloud.payload, cloud.protocol)
            key = (record.manifest.key, record.device.name, *how)
            groups.setdefault(key, []).append(record)
    found = (_model(group) for group in groups.values())
    return [one for one in found if one]


def _model(records: Sequence[Record]) -> LinkModel | None:
    known = [(record, point) for record in records if (point := _point(record))]
    if not known:
        return None
    first, cloud = known[0][0], known[0][0].cloud
    assert cloud is not None
    points = [point for _, point in known]
    trips, overhead, fitted = _line(
        np.array([p.rtt_ms * MS for p in points]),
        np.array([p.beyond_ns for p in points]),
        np.array([1 / p.measured_ns for p in points]),
    )
    bare = LinkModel(
        model=first.manifest.network.name,
        variant=first.manifest.variant,
        device=first.device.name,
        payload=cloud.payload,
        work_ns=median(point.stages.work_ns for point in points),
        overhead_ns=overhead,
        round_trips=trips,
        fitted=fitted,
        request_bytes=cloud.request_bytes,
        response_bytes=cloud.response_bytes,
    )
    return msgspec.structs.replace(bare, checks=tuple(_check(bare, point) for point in points))


def _point(record: Record) -> _Point | None:
    """Return what a record says of its link; None where the link or its shares are not known."""
    cloud, found = record.cloud, candidates([record])
    if cloud is None or not found or found[0].unusable:
        return None
    stages, measured, link = found[0].stages, found[0].p50_ns, cloud.link
    if stages is None or measured is None or not (link or _is_loopback(cloud.url)):
        return None
    up, down = _rates(link)
    wire = _wire(cloud.request_bytes, cloud.response_bytes, up, down)
    return _Point(
        key=" ".join(record.key),
        network=link.name if link else AS_IS,
        up_mbit=up,
        down_mbit=down,
        rtt_ms=link.rtt_ms if link else 0.0,
        measured_ns=measured,
        stages=stages,
        beyond_ns=measured - stages.work_ns - wire,
    )


def _rates(link: Link | None) -> tuple[float | None, float | None]:
    return (link.up_mbit, link.down_mbit) if link else (None, None)


def _is_loopback(url: str) -> bool:
    return urlsplit(url if "//" in url else f"//{url}").hostname in LOOPBACK


def _wire(request: int, response: int, up: float | None, down: float | None) -> float:
    sent = 8 * request * BIT / up if up else 0.0
    return sent + (8 * response * BIT / down if down else 0.0)


def _line(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> tuple[float, float, bool]:
    """Fit y = overhead + n x by weighted least squares, n at least 1, the overhead at least 0."""
    fitted = len(set(x.tolist())) > 1
    slope = float(np.polyfit(x, y, 1, w=weights)[0]) if fitted else 1.0
    trips = max(1.0, slope)
    return trips, max(0.0, float(np.average(y - trips * x, weights=weights**2))), fitted


def _check(model: LinkModel, point: _Point) -> Check:
    return Check(
        key=point.key,
        network=point.network,
        up_mbit=point.up_mbit,
        down_mbit=point.down_mbit,
        rtt_ms=point.rtt_ms,
        measured_ns=point.measured_ns,
        estimated_ns=model.estimate(point.up_mbit, point.down_mbit, point.rtt_ms),
    )
