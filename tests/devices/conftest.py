from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from devices.device import Job, WorkerError
from devices.local import LocalDevice
from devices.session import WorkerSession
from export.artifact import list_files, read_manifest, write_manifest
from tests import tiny


@pytest.fixture(scope="session")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_onnx(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="session")
def tflite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_tflite(tmp_path_factory.mktemp("tflite"))


@pytest.fixture(scope="session")
def torch_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_torch(tmp_path_factory.mktemp("torch"))


@pytest.fixture
def open_session() -> Iterator[Callable[..., WorkerSession]]:
    """Open sessions on this machine; they are closed after the test."""
    opened: list[WorkerSession] = []

    def open_one(artifact: Path, runtime: str = "onnxruntime", **settings: Any) -> WorkerSession:
        device = settings.pop("device", LocalDevice())
        opened.append(device.open(Job(artifact=artifact, runtime=runtime, **settings)))
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


def sign(artifact: Path) -> None:
    """Make the manifest agree with files that a test has changed."""
    manifest = read_manifest(artifact)
    write_manifest(artifact, msgspec.structs.replace(manifest, files=list_files(artifact)))


def expect_the_logits(session: WorkerSession) -> None:
    found, right = session.verify()["logits"], tiny.forward(tiny.images())
    np.testing.assert_allclose(found, right, atol=1e-4)


def refused(artifact: Path, runtime: str = "onnxruntime") -> WorkerError:
    """Return the error, one line, of an artifact that cannot be loaded."""
    with pytest.raises(WorkerError) as caught:
        LocalDevice().open(Job(artifact=artifact, runtime=runtime))
    assert "\n" not in str(caught.value)
    assert caught.value.stage == "load"
    return caught.value
