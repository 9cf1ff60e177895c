"""Print what int8 costs in every format, as a Markdown table.

    python docs/int8_accuracy.py --drop 0.1 --images 1000 'resnet20@fashion-mnist.safetensors' ...

FILES are weights that `edgeworthy models train` wrote, from scratch, or by `--from` with and
without `--quantize-aware`; each row is top-1 on the same test images of Fashion-MNIST, run by the
format's own runtime (Core ML by the reference interpreter, emulated). A cell is the int8 file that
these weights give; where it loses more than `--drop` points, what `--auto` makes of it follows,
with the number of layers that it left in float.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from export.artifact import Manifest, read_manifest
from models.metadata import read_metadata

FORMATS = ("onnx", "tflite", "coreml")
ROOT = Path(__file__).resolve().parent.parent


def export(path: Path, images: int, formats: str, *options: str) -> dict[str, Manifest]:
    """Export to int8; return the manifests by format, with the accuracy in each."""
    name = read_metadata(path).model or path.stem.partition("@")[0]
    with tempfile.TemporaryDirectory() as out:
        command = ["export", "--model", name, "--weights", str(path), "--name", "measured"]
        command += ["--format", formats, "--precision", "int8", "--data", "fashion-mnist"]
        command += ["--test-images", str(images), "--out", out, *options]
        subprocess.run(
            [sys.executable, str(ROOT / "edgeworthy.py"), *command], check=False, stdout=sys.stderr
        )
        made = [read_manifest(d) for d in (Path(out) / "measured").glob("*-int8")]
    return {manifest.format: manifest for manifest in made}


def row(path: Path, images: int, drop: float) -> str:
    """Return one line of the table."""
    plain = export(path, images, "all", "--max-accuracy-drop", "100")
    lost = {f: m.retained for f, m in plain.items() if m.retained and m.retained.drop > drop}
    budget = ("--auto", "--max-accuracy-drop", str(drop))
    mended = export(path, images, ",".join(lost), *budget) if lost else {}
    cells = [cell(plain.get(form), mended.get(form)) for form in FORMATS]
    given = next(m.retained for m in plain.values() if m.retained)
    return f"| {label(path)} | {given.float_top1:.2%} | {' | '.join(cells)} |"


def label(path: Path) -> str:
    """Return whose weights these are, and how they came about beyond training from scratch."""
    found = read_metadata(path)
    said = f"`{found.model}@{found.dataset}`"
    if "weights" not in found.settings:
        return said
    how = "quantization-aware" if found.settings["quantize_aware"] else "fine-tuned (control)"
    epochs = found.settings["epochs"]
    return f"{said}, {how}, {epochs} epoch{'s' if epochs > 1 else ''}"


def cell(plain: Manifest | None, mended: Manifest | None) -> str:
    """Return post-training top-1, and what became of it where it was mended."""
    if plain is None or plain.retained is None:
        return "failed"
    said = f"{plain.retained.top1:.2%}"
    if mended is None or mended.retained is None:
        return said
    return f"{said} → {mended.retained.top1:.2%} ({len(mended.quantization.kept_float)})"


def main() -> None:
    """Print the table of the files named on the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("files", nargs="+", type=Path)
    options.add_argument("--images", type=int, default=1000)
    options.add_argument("--drop", type=float, default=0.1)
    given = options.parse_args()
    print(f"| weights | float | {' | '.join(FORMATS)} |\n|---|--:|{'--:|' * len(FORMATS)}")
    for path in given.files:
        print(row(path, given.images, given.drop), flush=True)


if __name__ == "__main__":
    main()
