"""The oldest board that is promised: Debian 11, with Python 3.9 and glibc 2.31."""

import shlex
from pathlib import Path

import pytest

from devices.device import Job
from devices.ssh import Settings, make
from tests.devices.conftest import expect_the_logits
from tests.hosts.cache import BuildError, built, run
from tests.hosts.requirements import unmet
from tests.hosts.userland import mirror
from tests.sshd import board as running_board

pytestmark = [pytest.mark.hosts, pytest.mark.slow]
RELEASE, PACKAGES = "bullseye", "python3,coreutils,libstdc++6,libc-bin"
# A namespace of mounts of its own: nothing is left mounted, however Python ends.
ENTER = """#!/bin/sh
exec unshare --mount --propagation private sh -euc '
mount -t proc proc {root}/proc
mount -t tmpfs tmpfs {root}/tmp
mkdir -p {root}{cache}
mount --bind {cache} {root}{cache}
exec chroot {root} /usr/bin/python3 "$@"' sh "$@"
"""


def _extract(directory: Path) -> None:
    run(
        "mmdebstrap", "--quiet", "--mode=root", "--variant=extract", f"--include={PACKAGES}",
        '--aptopt=Acquire::Languages "none"', '--aptopt=Acquire::Check-Valid-Until "false"',
        RELEASE, directory, f"deb {mirror()} {RELEASE} main",
    )  # fmt: skip
    for name in ("proc", "tmp"):
        (directory / name).mkdir(exist_ok=True)


@pytest.fixture(scope="module")
def root():
    if reason := unmet():
        pytest.skip(reason)
    try:
        return built(f"debian-{RELEASE}", f"{RELEASE} {PACKAGES} proc tmp", _extract)
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def device(root, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    python = cache.parent / "python3.9"
    where = {"root": root, "cache": cache}
    python.write_text(ENTER.format(**{k: shlex.quote(str(v)) for k, v in where.items()}))
    python.chmod(0o755)
    with running_board(tmp_path_factory.mktemp("sshd")) as running:
        config = str(running.config)
        settings = Settings(host="board", config=config, python=str(python), cache=str(cache))
        made = make("old", settings)
        yield made
        made.close()


@pytest.mark.parametrize(("format", "runtime"), [("tflite", "litert"), ("onnx", "onnxruntime")])
def test_the_worker_and_the_runtimes_run_there(device, onnx, tflite, format, runtime):
    facts = device.info().facts
    assert facts["python"].startswith("3.9.")
    assert facts["libc"] == "glibc 2.31"
    artifact = {"onnx": onnx, "tflite": tflite}[format]
    session = device.open(Job(artifact=artifact, runtime=runtime, threads=1))
    try:
        expect_the_logits(session)
        assert session.ready.environment["python"] == facts["python"]
        assert len(session.measure(3)) == 3
        assert session.memory().after_run
        assert session.sensors().load >= 0
        assert len(session.streams(2) or session.measure(10)) >= 10
        assert session.peak(1).flops > 0
    finally:
        session.close()
