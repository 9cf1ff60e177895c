"""Which wheels a board gets: the lock files, and what pip makes of them."""

import re
import sys

import pytest

from devices import wheels
from devices.device import DeviceError, TransportError
from devices.wheels import LOCKS, Target, Wheels, downloaded

PINNED = re.compile(r"[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}\n")
PI = {"python": "3.11.2", "architecture": "aarch64", "libc": "glibc 2.36"}
OFFERED = Wheels(("python3",))


def refused(**changes):
    with pytest.raises(DeviceError) as caught:
        OFFERED.runtimes("tflite", {**PI, **changes}, None)
    assert "runtimes = 'own' in devices.toml" in str(caught.value)
    return str(caught.value)


def test_every_lock_file_pins_each_wheel_by_its_hash_and_names_no_index():
    files = list(LOCKS.glob("*.txt"))
    assert len(files) >= 10
    for file in files:
        assert all(PINNED.fullmatch(line) for line in file.read_text().splitlines(keepends=True))
        assert "numpy==" in file.read_text()


@pytest.mark.parametrize("architecture", ["aarch64", "x86_64"])
@pytest.mark.parametrize("python", ["3.9.2", "3.10.12", "3.11.2", "3.12.3", "3.13.5"])
def test_both_runtimes_for_every_python_that_is_promised(python, architecture):
    board = {**PI, "python": python, "architecture": architecture}
    assert OFFERED.runtimes("tflite", board, None) == ["litert"]
    assert OFFERED.runtimes("onnx", board, None) == ["onnxruntime"]
    assert OFFERED.runtimes("torch", board, None) == []


@pytest.mark.parametrize("architecture", ["armv7l", "aarch64, 32-bit", "riscv64"])
def test_an_architecture_without_wheels_is_refused(architecture):
    told = refused(architecture=architecture)
    assert f"no wheels of the runtimes for cp311 on {architecture}" in told
    assert "cp39-aarch64, cp310-aarch64" in told


def test_a_newer_python_is_refused():
    assert "no wheels of the runtimes for cp399 on aarch64" in refused(python="3.99.0")


@pytest.mark.parametrize("libc", ["glibc 2.27", "musl 1.2.4", ""])
def test_a_c_library_that_wheels_do_not_run_with_is_refused(libc):
    assert "the runtimes' wheels need glibc 2.28 or newer" in refused(libc=libc)


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lock = tmp_path / "wrong-cp311-x86_64.txt"
    lock.write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(TransportError, match="pip cannot download the wheels of wrong-cp311"):
        downloaded(lock, Target("cp311", "x86_64"))
    assert list(tmp_path.rglob("*.whl")) == []


def test_a_wheel_that_was_changed_here_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    digest = "1" * 64
    kept = tmp_path / "edgeworthy" / "wheels" / digest
    kept.mkdir(parents=True)
    (kept / "six-1.17.0-py3-none-any.whl").write_bytes(b"something else")
    lock = tmp_path / "six-cp311-x86_64.txt"
    lock.write_text(f"six==1.17.0 --hash=sha256:{digest}\n")
    with pytest.raises(DeviceError, match=r"does not hold what six-cp311-x86_64.txt asks for"):
        downloaded(lock, Target("cp311", "x86_64"))


def test_a_host_without_pip_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(wheels.sys, "executable", str(bare))
    with pytest.raises(DeviceError, match=r"there is no pip for .*ensurepip"):
        downloaded(LOCKS / "litert-cp311-x86_64.txt", Target("cp311", "x86_64"))
