"""From an `nn.Module` to a `torch.export` program. Needs torch and nothing of ours.

So that a user's network sees its own packages and not ours of the same name, it is captured in a
process of its own: ``python -P capture.py net.py factory out.pt2 1x3x224x224``.
"""

import contextlib
import importlib.util
import io
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

import torch

OURS = ("models", "export", "devices", "bench", "edgeworthy")
ROOT = Path(__file__).resolve().parent.parent


class CaptureError(Exception):
    """A network cannot become a program; the message says why in one line."""

    exit_code = 2


def capture(
    module: torch.nn.Module, shapes: Sequence[tuple[int, ...]]
) -> torch.export.ExportedProgram:
    """Export `module` in evaluation mode for float32 inputs of `shapes`.

    The first dimension becomes dynamic where the network allows it: tracing with a batch of two
    keeps torch from fixing it. A network that is written for one batch size keeps that size.

    Raises:
        CaptureError: the network's forward raises, or torch cannot trace it.
    """
    module.eval()
    inputs = tuple(torch.randn(shape) for shape in shapes)
    try:
        with torch.no_grad():
            module(*inputs)
    except Exception as error:
        shown = ", ".join("x".join(map(str, shape)) for shape in shapes)
        raise CaptureError(
            f"the network's forward raised on input {shown}: {blame(error)}"
        ) from None
    with contextlib.suppress(Exception):
        return _dynamic(module, shapes)
    try:
        return torch.export.export(module, inputs)
    except Exception as error:
        raise CaptureError(
            f"torch.export cannot trace the network: {blame(error)}; avoid control flow that "
            "depends on the input's values"
        ) from None


def _dynamic(
    module: torch.nn.Module, shapes: Sequence[tuple[int, ...]]
) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=65535)
    twos = tuple(torch.randn(2, *shape[1:]) for shape in shapes)
    return torch.export.export(module, twos, dynamic_shapes=tuple({0: batch} for _ in twos))


def save(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write a program; a full disk is an OSError, where torch's own writer aborts the process."""
    whole = io.BytesIO()
    torch.export.save(program, whole)
    path.write_bytes(whole.getbuffer())


def blame(error: BaseException) -> str:
    """Return an exception as one line: its type, its first line, and the user's line if known."""
    lines = str(error).strip().splitlines() or ["no message"]
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename
    ]
    inner = frames[-1] if frames else None
    if isinstance(error, SyntaxError) and error.filename:
        lines[0] = f"{error.msg} ({Path(error.filename).name}:{error.lineno})"
        inner = None
    ours = inner is None or Path(inner.filename).resolve().is_relative_to(ROOT / "export")
    place = "" if ours or inner is None else f" ({Path(inner.filename).name}:{inner.lineno})"
    return f"{type(error).__name__}: {lines[0]}{place}"


class _HideOurs:
    """A finder that keeps our top-level packages out of a user's imports."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find `name` anywhere but where our packages lie."""
        if name not in OURS:
            return None
        elsewhere = [p for p in sys.path if Path(p).resolve() != ROOT]
        spec = PathFinder.find_spec(name, elsewhere)
        if spec is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return spec


def load_file(path: Path, factory: str) -> torch.nn.Module:
    """Import a user's file and call its `factory`, which returns the network.

    Raises:
        CaptureError: no such name, or the file or the factory raises, or it is not an `nn.Module`.
    """
    sys.path.insert(0, str(path.resolve().parent))
    sys.meta_path.insert(0, _HideOurs)
    try:
        made = getattr(_import(path), factory)
        network = made() if callable(made) and not isinstance(made, torch.nn.Module) else made
    except AttributeError as error:
        raise CaptureError(f"{path} has no '{factory}' to call: {error}") from None
    except Exception as error:
        raise CaptureError(f"{path}:{factory} raised {blame(error)}") from None
    if not isinstance(network, torch.nn.Module):
        raise CaptureError(
            f"{path}:{factory} returned a {type(network).__name__}; an nn.Module is expected"
        )
    return network


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise CaptureError(f"{path} cannot be imported; a Python file is expected")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str]) -> None:
    """Capture a user's network into a .pt2 file."""
    file, factory, target, *shapes = arguments
    network = load_file(Path(file), factory)
    sizes = [tuple(int(part) for part in shape.split("x")) for shape in shapes]
    save(capture(network, sizes), Path(target))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (CaptureError, OSError) as error:
        sys.exit(f"error: {error}")
