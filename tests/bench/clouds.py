"""Records of a server behind links: what a request takes is put together from its stages."""

from msgspec.structs import replace

from bench.record import Cloud, Link, Stages
from tests.bench.factory import MS, manifest, record

COUNT = 20


def link(name="4g", up=10.0, down=40.0, rtt=50.0, loss=0.0):
    return Link(name=name, down_mbit=down, up_mbit=up, rtt_ms=rtt, loss=loss, shaped_by="scripted")


def wire_ms(request, response, by):
    """Return milliseconds of the bits alone."""
    rates = (request, by.up_mbit), (response, by.down_mbit)
    return sum(8 * size / 1e6 / rate * 1e3 for size, rate in rates if rate)


def clouded(
    of=None,
    by=None,
    *,
    encode=1.0,
    queue=0.5,
    compute=4.0,
    overhead=2.0,
    trips=1.0,
    request=100_000,
    response=1_000,
    told=True,
    url="http://127.0.0.1:8000",
    payload="jpeg",
    device="server",
    **conditions,
):
    """Return a record over the link `by` (None: the network as it is), stages in milliseconds.

    `told` False: the server tells neither its queue nor its compute time.
    """
    way = wire_ms(request, response, by) + trips * by.rtt_ms if by else 0.0
    rest = overhead + way + (0 if told else queue + compute)
    each = {"encode": encode, "upload_download": rest, "queue": queue, "compute": compute}
    spans = {name: (round(ms * MS),) * 5 for name, ms in each.items()}
    stages = Stages(**spans if told else {n: spans[n] for n in ("encode", "upload_download")})
    base = record(
        of or manifest(), encode + queue + compute + overhead + way, device=device, **conditions
    )
    cloud = Cloud(
        url=url,
        protocol="http",
        server="scripted",
        payload=payload,
        request_bytes=request,
        response_bytes=response,
        link=by,
        stages=(stages,) * COUNT,
    )
    settings = replace(base.settings, runtime="kserve", network=by.name if by else None)
    info = replace(base.device, kind="cloud", facts={})
    return replace(base, cloud=cloud, settings=settings, device=info)
