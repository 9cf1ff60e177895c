"""Small Core ML packages, saved by coremltools as an export saves them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import quiet

with quiet():
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.mil import types

Build = Callable[..., Any]
FLOAT32, FLOAT16 = ct.precision.FLOAT32, ct.precision.FLOAT16


def model(
    build: Build,
    *shapes: tuple[int, ...],
    half: bool = False,
    ios: str = "iOS17",
    classes: Any = None,
) -> Any:
    """Return a Core ML model of what `build` makes of inputs x, y of these shapes."""
    specs = [mb.TensorSpec(shape=shape, dtype=types.fp32) for shape in shapes]

    def one(x: Any) -> Any:
        return build(x)

    def two(x: Any, y: Any) -> Any:
        return build(x, y)

    target = getattr(ct.target, ios)
    with quiet():
        program = mb.program(input_specs=specs, opset_version=target)(
            one if len(shapes) == 1 else two
        )
        return ct.convert(
            program,
            compute_precision=FLOAT16 if half else FLOAT32,
            minimum_deployment_target=target,
            pass_pipeline=ct.PassPipeline.DEFAULT if half else ct.PassPipeline.EMPTY,
            classifier_config=classes,
            skip_model_load=True,
        )


def save(made: Any, path: Path) -> Path:
    """Save a model as a package."""
    with quiet():
        made.save(str(path))
    return path


def noise(*shape: int, seed: int = 1, scale: float = 1.0) -> np.ndarray[Any, Any]:
    """Return normal noise, float32."""
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)
