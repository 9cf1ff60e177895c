"""Where the time of a server's requests went: medians of the stages. Pure."""

from collections.abc import Iterable

import msgspec
import numpy as np

from bench.record import Cloud, Link


class StageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over all requests in nanoseconds, None where the server does not tell, and bytes of
    one request and its answer; see `devices.device.Stages`, and `devices.device.Cloud` for images.
    """

    url: str
    protocol: str
    payload: str
    link: Link | None
    request_bytes: int
    response_bytes: int
    encode_ns: float | None
    upload_download_ns: float | None
    queue_ns: float | None
    compute_ns: float | None
    images_agreed: int | None = None
    images_decided: int | None = None


def stage_figures(cloud: Cloud | None) -> StageFigures | None:
    """Return the figures of a server's record, None of other devices."""
    if cloud is None:
        return None
    found = cloud.stages
    return StageFigures(
        url=cloud.url,
        protocol=cloud.protocol,
        payload=cloud.payload,
        link=cloud.link,
        request_bytes=cloud.request_bytes,
        response_bytes=cloud.response_bytes,
        encode_ns=_median(stages.encode for stages in found),
        upload_download_ns=_median(stages.upload_download for stages in found),
        queue_ns=_median(stages.queue for stages in found),
        compute_ns=_median(stages.compute for stages in found),
        images_agreed=cloud.images_agreed,
        images_decided=cloud.images_decided,
    )


def _median(rounds: Iterable[tuple[int, ...] | None]) -> float | None:
    """Return the median of all entries, None where a round has none."""
    known = list(rounds)
    numbers = [n for some in known if some is not None for n in some]
    return float(np.median(numbers)) if numbers and None not in known else None
