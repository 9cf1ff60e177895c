"""The emulated board and phone by hand: `python -m tests.hosts build | up board | down`."""

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from tests.hosts.board import Board
from tests.hosts.cache import BuildError, root
from tests.hosts.host import Host
from tests.hosts.link import PROFILES
from tests.hosts.phone import Phone
from tests.hosts.phone_root import phone_root
from tests.hosts.requirements import unmet
from tests.hosts.userland import let_arm_programs_run, userland

HOSTS: dict[str, type[Host]] = {"board": Board, "phone": Phone}


@click.group()
def command() -> None:
    """Build, start and end emulated hosts for tests; they need root."""
    if reason := unmet():
        _refuse(reason)


@command.command()
def build() -> None:
    """Build what they run, where it is not there yet: about two minutes, by Debian's mirror."""
    _build()


def _build() -> None:
    for what, make in (("arm64 userland", userland), ("phone with Android's adbd", phone_root)):
        begin = time.monotonic()
        click.echo(f"{what}: {make()} ({time.monotonic() - begin:.0f} s)", err=True)


@command.command()
@click.argument("name", type=click.Choice(sorted(HOSTS)))
@click.option("--link", "profile", type=click.Choice(sorted(PROFILES)), default="lan")
def up(name: str, profile: str) -> None:
    """Start a host; it runs until `down`."""
    directory = root() / "up" / name
    if directory.exists():
        _refuse(f"the {name} is up already; end it with: python -m tests.hosts down {name}")
    _build()
    let_arm_programs_run()
    host = HOSTS[name](directory, profile=profile, outlive=True)
    try:
        host.start()
    except BuildError:
        host.remove()
        raise
    client = host.client if isinstance(host, Phone) else {}
    state = {"pids": host.pids, "client": client}
    (directory / "state.json").write_text(json.dumps(state))
    click.echo(_how_to_reach(host))


def _how_to_reach(host: Host) -> str:
    if isinstance(host, Board):
        return f"ssh -F {host.ssh_config} board"
    assert isinstance(host, Phone)
    given = " ".join(f"{key}={value}" for key, value in host.client.items())
    return f"export {given}\nadb connect {host.serial}\nadb -s {host.serial} shell"


@command.command()
@click.argument("names", type=click.Choice(sorted(HOSTS)), nargs=-1)
def down(names: tuple[str, ...]) -> None:
    """End hosts that `up` has started, all of them without a name."""
    for name in names or HOSTS:
        directory = root() / "up" / name
        with suppress(FileNotFoundError):
            _end(json.loads((directory / "state.json").read_text()))
        shutil.rmtree(directory, ignore_errors=True)


def _end(state: dict[str, Any]) -> None:
    for pid in state["pids"]:
        with suppress(ProcessLookupError, FileNotFoundError):
            if "hosts" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
    if state["client"]:
        os.environ.update(state["client"])
        os.spawnlp(os.P_WAIT, "adb", "adb", "kill-server")


def _refuse(reason: str) -> NoReturn:
    click.echo(f"error: {reason}", err=True)
    raise SystemExit(2)


if __name__ == "__main__":
    try:
        command()
    except BuildError as error:
        _refuse(str(error))
