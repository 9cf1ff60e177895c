"""A contract in words, and in the line of code that follows it. No library is needed."""

from collections.abc import Sequence

from export.artifact import Contract
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
    return (
        f"{COLOURS[steps.channels]}, {resized} (bilinear, antialiased), divide by 255, subtract "
        f"{numbers(steps.mean)}, divide by {numbers(steps.std)}"
    )


def numbers(values: Sequence[float]) -> str:
    """Return one number, or several in brackets as Python writes a list."""
    shown = [f"{value:g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else f"[{', '.join(shown)}]"


def feeding(contract: Contract) -> str | None:
    """Return a line of Python that makes the first input `x` of a PIL image of the right size.

    None where preprocessing is not known, or the input is not an image.
    """
    steps, tensor = contract.preprocessing, contract.inputs[0]
    if steps is None or set(tensor.layout) != set("NCHW"):
        return None
    image = f'np.asarray(image.convert("{MODES[steps.channels]}"), np.float32)'
    if steps.channels == 1:
        image += "[..., None]"
    line = f"x = ({image} / 255 - {numbers(steps.mean)}) / {numbers(steps.std)}"
    if tensor.scale is not None:
        bits = f"np.iinfo(np.{tensor.dtype})"
        rounded = f"np.rint(x / {tensor.scale!r}) + {tensor.zero_point}"
        line += f"; x = np.clip({rounded}, {bits}.min, {bits}.max)"
    moved = "x.transpose(2, 0, 1)" if tensor.layout == "NCHW" else "x"
    return f'{line}; x = {moved}[None].astype("{tensor.dtype}")'
