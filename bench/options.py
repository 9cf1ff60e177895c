"""Options that several commands of ``bench`` have, defined once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from devices.device import Device

Command = TypeVar("Command", bound=Callable[..., Any])

# Unless told otherwise, an artifact is measured in so many fresh processes.
PROCESSES = 10
# By then a run of a few artifacts is over, and a job of CI that waits has not met its own limit.
WAIT_S = 600.0

artifacts_dir = click.option(
    "--artifacts-dir",
    "root",
    default=Path("artifacts"),
    type=click.Path(path_type=Path),
    show_default=True,
    help="Where the artifacts are.",
)
device = click.option(
    "--device", default="cpu", show_default=True, metavar="NAME", help="The device."
)
runtime = click.option(
    "--runtime", metavar="NAME", help="Runtime (default: the first that is there)."
)
runtime_or_all = click.option(
    "--runtime",
    metavar="NAME|all",
    help="Runtime (default: the first that is there); all: every one that is.",
)
wait = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a device on which another job runs.",
)
seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
threads = click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)

records_in = click.option(
    "--records",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Records of 'bench run' (default: results/records.jsonl); may be given several times.",
)


def processes(told: str) -> Callable[[Command], Command]:
    """Return the option of how many fresh processes there are of each, as `told`."""
    number = click.IntRange(min=1, max=100)
    return click.option("--processes", type=number, default=PROCESSES, show_default=True, help=told)


def max_seconds(default: float, told: str) -> Callable[[Command], Command]:
    """Return the option of when to stop, as `told`."""
    number = click.FloatRange(min=0, min_open=True)
    return click.option("--max-seconds", type=number, default=default, show_default=True, help=told)


def records_out(told: str) -> Callable[[Command], Command]:
    """Return the option of the file that records are appended to, as `told`."""
    return click.option(
        "--out",
        default=Path("results/records.jsonl"),
        type=click.Path(path_type=Path),
        show_default=True,
        help=told,
    )


@contextmanager
def held(device: "Device", wait_s: float) -> Iterator[None]:
    """Have a device to oneself, after waiting for it if need be: see `devices.lock.held`. What is
    sent there is told.
    """
    from devices import lock, sending

    told = partial(click.echo, err=True)
    with sending.shown(sending.Stderr()), lock.held(device, wait_s, told):
        yield


def found(names: Sequence[str]) -> "list[Device]":
    """Return the devices with these names, each once.

    Raises:
        DeviceError: there is none with one of them.
    """
    from devices.registry import find

    return list({device.name: device for device in map(find, names)}.values())


def share(option: str, text: str) -> float:
    """Parse what an option says, as ``2%``, into a fraction.

    Raises:
        BenchError: something else is there.
    """
    from bench.budget import quantity
    from bench.record import BenchError

    try:
        return quantity(text, "share", "2%")
    except ValueError as error:
        raise BenchError(f"{option} {error}") from None
