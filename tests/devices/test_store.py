"""What was sent to a device, and something there has cleared: a cache, or temporary files."""

import shutil
import sys
import zipfile

import pytest

from devices.device import Job, WorkerError
from devices.store import Store, sha256
from tests.devices import shell
from tests.devices.conftest import expect_the_logits


@pytest.fixture
def device(tmp_path):
    made = shell.device(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def job(onnx):
    return Job(artifact=onnx, runtime="onnxruntime", threads=1)


def cache(device):
    return device.transport.home / "cache"


def test_what_was_cleared_is_sent_anew_and_who_is_at_work_is_not_disturbed(device, job):
    session = device.open(job)
    shutil.rmtree(cache(device))
    again = device.open(job)
    expect_the_logits(again)
    again.close()
    assert len(session.measure(3)) == 3
    session.close()


@pytest.mark.parametrize("lost", ["worker/*/devices/facts.py", "artifacts/*/golden.npz"])
def test_one_file_that_is_missing_is_noticed(device, job, lost):
    device.open(job).close()
    (path,) = cache(device).glob(lost)
    path.unlink()
    again = device.open(job)
    expect_the_logits(again)
    again.close()
    assert path.is_file()


def test_a_probe_notices_it_too(device):
    version = device.probe("onnxruntime")
    shutil.rmtree(cache(device))
    assert device.probe("onnxruntime") == version


def test_what_is_cleared_while_a_worker_starts_is_sent_anew(device, job):
    argv, cleared = device.transport.argv, []

    def argv_that_clears(command):
        if "--lease" in command and not cleared:
            cleared.append(cache(device))
            command = command.replace("; then ", f"; then rm -r {cleared[0]}; ", 1)
        return argv(command)

    device.transport.argv = argv_that_clears
    version = device.probe("onnxruntime")
    assert cleared
    assert device.probe("onnxruntime") == version


def test_what_is_always_cleared_is_told_in_a_line_with_the_remedy(device, job):
    put = device.transport.put

    def put_for_a_moment(files, timeout_s):
        put(files, timeout_s)
        (cache(device) / next(iter(files)).partition("/")[2]).unlink()

    device.transport.put = put_for_a_moment
    with pytest.raises(WorkerError) as caught:
        device.open(job)
    assert "is gone, and again once it was sent anew" in caught.value.detail
    assert "set its cache to another directory in devices.toml" in caught.value.detail
    assert "\n" not in caught.value.detail
    device.close()
    assert device.transport.left() == []


class TestUnpacked:
    @pytest.fixture
    def wheel(self, tmp_path):
        path = tmp_path / "six-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as made:
            for name in ("six/__init__.py", "six/more.py", "six/tests/test_six.py", "six/x.pyc"):
                made.writestr(name, "pass\n")
        return path

    def place(self, transport, wheel):
        """Unpack it as a process does that was just started."""
        store = Store(transport, "cache")
        (where,) = store.unpack({sha256(wheel): wheel}, (sys.executable,))
        return transport.home / where

    @pytest.fixture
    def transport(self, tmp_path):
        (tmp_path / "home").mkdir()
        return shell.Shell(tmp_path / "home")

    def test_it_is_unpacked_once_without_its_tests(self, transport, wheel):
        where = self.place(transport, wheel)
        assert {p.name for p in where.rglob("*.py")} == {"__init__.py", "more.py"}
        (where / "six" / "__pycache__").mkdir()
        (where / "six" / "__pycache__" / "more.cpython-311.pyc").touch()
        before = where.stat().st_ino
        assert self.place(transport, wheel).stat().st_ino == before

    def test_it_is_unpacked_anew_where_a_file_is_missing(self, transport, wheel):
        where = self.place(transport, wheel)
        (where / "six" / "more.py").unlink()
        assert self.place(transport, wheel) == where
        assert (where / "six" / "more.py").is_file()
        assert {p.name for p in where.parent.iterdir()} == {where.name}
