"""Emulated hosts as fixtures: a host a session, its link whole again and fast for each test."""

from collections.abc import Iterator

import pytest

from tests.hosts.board import Board
from tests.hosts.host import Host
from tests.hosts.phone import Phone
from tests.hosts.requirements import unmet
from tests.hosts.userland import let_arm_programs_run


def _started(host: type[Host], factory: pytest.TempPathFactory) -> Iterator[Host]:
    if reason := unmet():
        pytest.skip(reason)
    let_arm_programs_run()
    one = host(factory.mktemp(host.name))
    one.start()
    yield one
    one.remove()


@pytest.fixture(scope="session")
def board_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The session's emulated board."""
    yield from _started(Board, tmp_path_factory)


@pytest.fixture(scope="session")
def phone_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The session's emulated phone."""
    yield from _started(Phone, tmp_path_factory)


@pytest.fixture
def board(board_host: Board) -> Iterator[Board]:
    """An emulated ARM board behind ssh, with a link that a test may slow or stop."""
    yield board_host
    mend(board_host)


@pytest.fixture
def phone(phone_host: Phone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    """An emulated phone behind adb, whose server's environment is this process's."""
    for name, value in phone_host.client.items():
        monkeypatch.setenv(name, value)
    yield phone_host
    mend(phone_host)
    phone_host.authorise()
    phone_host.adb("disconnect")


def mend(host: Host) -> None:
    """Make a host's link whole again, and fast."""
    host.link.resume()
    if host.link.profile != "lan":
        host.link.use("lan")
