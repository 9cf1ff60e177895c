"""What a host that was killed leaves among temporary files, and what becomes of it."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from devices import scratch
from tests.conftest import ROOT

PROGRAM = """
import sys
from devices import scratch
print(scratch.make(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@contextmanager
def another(tmp_path):
    """Another process that has a directory."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield process, tmp_path / os.path.basename(process.stdout.readline().strip())  # noqa: PTH119
        process.kill()


def test_it_is_private_and_gone_in_the_end(tmp_path):
    with scratch.directory() as made:
        assert made.parent == tmp_path
        assert made.stat().st_mode & 0o777 == 0o700
        (made / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    with another(tmp_path) as (process, left):
        (left / "socket").touch()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert left.is_dir()
        with scratch.directory() as made:
            assert list(tmp_path.iterdir()) == [made]


def test_that_of_a_running_process_stays(tmp_path):
    with another(tmp_path) as (_, used), scratch.directory() as made:
        assert {*tmp_path.iterdir()} == {used, made}


def test_that_of_a_process_in_another_container_stays(tmp_path):
    """Its id is unknown here; its lock is not."""
    with another(tmp_path) as (process, used):
        gone = subprocess.Popen(["true"])
        gone.wait()
        elsewhere = used.with_name(used.name.replace(f"{process.pid:07}", f"{gone.pid:07}"))
        used.rename(elsewhere)
        with scratch.directory() as made:
            assert {*tmp_path.iterdir()} == {elsewhere, made}


def test_what_others_have_there_stays(tmp_path):
    names = ("edgeworthy-tests-abcdefgh", "edgeworthy-9999999-abcdefgh", "edgeworthy-report")
    for name in names:
        (tmp_path / name).mkdir()
    with scratch.directory():
        pass
    assert {path.name for path in tmp_path.iterdir()} == {*names}


def test_in_a_cache_it_is_hidden_and_swept_alike(tmp_path):
    with scratch.directory(tmp_path) as made:
        assert made.name.startswith(".edgeworthy-")
        with scratch.directory(tmp_path) as other:
            assert {*tmp_path.iterdir()} == {made, other}
    assert list(tmp_path.iterdir()) == []
