"""The option of ``bench run`` that puts a shaped link between this machine and a server."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bench.matrix import Cell
    from devices.device import Device

option: Callable[..., Any] = click.option(
    "--network",
    metavar="LINK",
    help="For a server as the device: measure it over a shaped link, 3g, 4g, 5g, wifi, lan, fibre "
    "(several: 3g,4g), down=10,up=5,rtt=40,loss=1% (Mbit/s, ms), or sweep: a grid of these. See "
    "docs/cloud.md.",
)


def over(devices: "Sequence[Device]", network: str | None) -> "list[Device]":
    """Return the devices, each server once behind every link that was asked for.

    Raises:
        click.UsageError: there is no server among them.
        ConfigError: there is no such link.
    """
    if network is None:
        return list(devices)
    from devices.cloud import CloudDevice
    from devices.network import profiles

    links = profiles(network)
    if not any(isinstance(device, CloudDevice) for device in devices):
        raise click.UsageError(
            "--network is for a server as the device; add --device cloud:http://HOST:PORT"
        )
    return [
        one
        for device in devices
        for one in (map(device.over, links) if isinstance(device, CloudDevice) else (device,))
    ]


def tell(cells: "Sequence[Cell]") -> None:
    """Say what shapes the links that were asked for, and how long they may take; if any were."""
    from bench.forecast import told
    from devices.cloud import CloudDevice
    from devices.network import check

    devices = [(cell, cell.target.device) for cell in cells]
    over = [(c, d.profile) for c, d in devices if isinstance(d, CloudDevice) and d.profile]
    if over:
        click.echo(f"{check()}\n{told(over)}", err=True)
