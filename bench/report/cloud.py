"""The table of servers: where the time of a request went, and its bytes."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.record import Link
from bench.report.document import Cell, Column, Table, figure
from bench.report.lines import lines
from bench.rows import Row

COLUMNS = ("encode", "network", "queue", "compute", "sent", "received")
NOTE = (
    "requests: medians of all; encode: the payload made on this machine; network: what is neither "
    "this nor the server's word for queue and compute; sent and received: bytes of one inference's "
    "messages, without HTTP's headers"
)


def requests(rows: Sequence[Row]) -> Table | None:
    """Return a line for each measurement of a server, None of none."""
    return lines("Requests", tuple(map(Column, COLUMNS)), rows, _figures)


def definitions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the figures mean, and the links."""
    found = [row.cloud for row in rows if row.cloud is not None]
    if found:
        yield NOTE
    links = {one.link.name: one.link for one in found if one.link is not None}
    yield from map(_told, links.values())
    yield from (told for row in rows for told in _images(row))


def _told(link: Link) -> str:
    down, up = (
        "any rate" if rate is None else f"{rate:g} Mbit/s"
        for rate in (link.down_mbit, link.up_mbit)
    )
    lost = f", {units.percent(link.loss)} lost" if link.loss else ""
    figures = f"{down} down, {up} up, round trip {link.rtt_ms:g} ms{lost}"
    return f"network {link.name}: {figures}; shaped by {link.shaped_by}"


def _images(row: Row) -> Iterator[str]:
    found = row.cloud
    if found is not None and found.images_decided is not None:
        lossy = "; a JPEG loses detail, so no other figure judges it"
        yield (
            f"{row.model}/{row.variant} as {found.payload}: {found.images_agreed} of "
            f"{found.images_decided} golden inputs with a clear class get the one that the pixels' "
            f"tensor gets{lossy if found.payload == 'jpeg' else ''}; encode holds writing the file"
        )


def _figures(row: Row) -> Iterator[tuple[Cell, ...]]:
    found = row.cloud
    if found is not None and row.p50_ns is not None:
        times = (
            found.encode_ns,
            found.upload_download_ns,
            found.queue_ns,
            found.compute_ns,
        )
        sizes = (found.request_bytes, found.response_bytes)
        yield (
            *(figure(value, units.duration) for value in times),
            *(figure(value, units.size) for value in sizes),
        )
