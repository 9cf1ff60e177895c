import pytest

from tests.bench.running import NAMES
from tests.tiny import tiny_onnx


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("artifacts")
    for name in NAMES:
        tiny_onnx(root, name=name)
    return root
