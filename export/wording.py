"""A contract in words, and in the line of code that follows it. No library is needed."""

import math
from collections.abc import Sequence

from export.artifact import Contract, Tensor
from models.preprocess import Preprocessing

COLOURS = {1: "luminance", 3: "RGB"}
MODES = {1: "L", 3: "RGB"}


def preprocessing(steps: Preprocessing | None) -> str:
    """Return the steps from an image to an input in words."""
    if steps is None:
        return "not known: ask whoever trained the network"
    height, width = steps.size
    if steps.resize is None:
        resized = f"resize to {height}x{width}"
    else:
        resized = f"resize the shorter side to {steps.resize}, cut {height}x{width} from the centre"
    fitted = f"{COLOURS[steps.channels]}, {resized} (bilinear, antialiased)"
    if takes_pixels(steps):
        return f"{fitted}, values from 0 to 255 as they are"
    return (
        f"{fitted}, divide by 255, subtract {numbers(steps.mean)}, divide by {numbers(steps.std)}"
    )


def takes_pixels(steps: Preprocessing) -> bool:
    """Tell whether an input is an image's own values, 0 to 255: the file normalises them itself."""
    return not any(steps.mean) and all(math.isclose(255 * s, 1, rel_tol=1e-6) for s in steps.std)


def numbers(values: Sequence[float]) -> str:
    """Return one number, or several in brackets as Python writes a list."""
    shown = [f"{value:g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else f"[{', '.join(shown)}]"


def feeding(contract: Contract) -> list[str]:
    """Return Python that makes the first input `x` of a PIL image of the right size, in steps.

    Empty where preprocessing is not known, or the input is not an image.
    """
    steps, tensor = contract.preprocessing, contract.inputs[0]
    if steps is None or set(tensor.layout) != set("NCHW"):
        return []
    axis = "[..., None]" if steps.channels == 1 else ""
    moved = "x.transpose(2, 0, 1)" if tensor.layout == "NCHW" else "x"
    decoded = f'x = np.asarray(image.convert("{MODES[steps.channels]}"), np.float32){axis}'
    normalised = [
        f"{decoded} / 255",
        f"x = (x - {numbers(steps.mean)}) / {numbers(steps.std)}",
    ]
    return [
        *([decoded] if takes_pixels(steps) else normalised),
        *_quantizing(tensor),
        f'x = {moved}[None].astype("{tensor.dtype}")',
    ]


def _quantizing(tensor: Tensor) -> list[str]:
    if tensor.scale is None:
        return []
    rounded = f"x = np.rint(x / {tensor.scale!r}) + {tensor.zero_point}"
    return [rounded, f"x = x.clip{limits(tensor.dtype)}"]


def limits(dtype: str) -> tuple[int, int]:
    """Return the least and the greatest value of an integer type, by its name."""
    bits = int(dtype.lstrip("uint"))
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
