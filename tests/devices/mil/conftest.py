from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import mil
from tests.devices.mil import packages

Array = np.ndarray[Any, Any]


@pytest.fixture
def compute(tmp_path: Path) -> Callable[..., dict[str, Array]]:
    """Save what a function builds, run it on arrays, and return the outputs."""

    def run(build: packages.Build, *inputs: Array, **how: Any) -> dict[str, Array]:
        made = packages.model(build, *(i.shape for i in inputs), **how)
        path = packages.save(made, tmp_path / "made.mlpackage")
        return mil.load(path).run(dict(zip("xy", inputs, strict=False)))

    return run
