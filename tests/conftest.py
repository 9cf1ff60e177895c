"""What all tests share: the command as a user starts it, real images, and exported networks."""

import atexit
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts.fixtures import board, board_host, phone, phone_host

__all__ = ["board", "board_host", "phone", "phone_host"]

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "tests" / "data" / "fashion-mnist-sample"

# A shell that starts the tests in the background leaves Ctrl-C ignored, in all that they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The suite has a process a core already: more threads in each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A run takes its device for itself: it must wait for no other test's, nor for what else runs here.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="edgeworthy-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

Result = subprocess.CompletedProcess[str]
Cli = Callable[..., Result]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, for their fixtures; the zoo's fill up both."""
    for item in items:
        group = item.name if item.path.name == "test_zoo.py" else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Run ``edgeworthy ARGUMENTS`` in a process of its own, as a user would."""

    def run(
        *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> Result:
        command = [sys.executable, str(ROOT / "edgeworthy.py"), *map(str, arguments)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=cwd,
            env=os.environ | (env or {}),
            timeout=600,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def sample() -> Path:
    """Real images in Fashion-MNIST's own layout: 320 for training, 1,000 unseen."""
    return SAMPLE


@pytest.fixture(scope="session")
def trained(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed networks in every format and precision, exported once: an artifacts folder.

    The processes that share the tests share it, too: the first to need it makes it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out = shared / "trained"
    with (shared / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():
            networks = ["--model", "lenet5@fashion-mnist,mobilenet_v1_0.25_64@fashion-mnist"]
            making = shared / "trained-making"
            data = ["--precision", "all", "--data", SAMPLE, "--out", making]
            made = cli("export", *networks, *data)
            assert made.returncode == 0, made.stdout + made.stderr
            reference = cli("export", *networks, "--format", "torch", "--out", making)
            assert reference.returncode == 0, reference.stdout + reference.stderr
            making.rename(out)
    return out
