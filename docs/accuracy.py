"""Print the accuracy of weights files as a Markdown table: ``python docs/accuracy.py FILES``.

Each file is read again and asked all 10,000 test images of Fashion-MNIST.
"""

import sys
from pathlib import Path

import torch

from bench import units
from models.accuracy import evaluate
from models.analysis import analyse
from models.checkpoint import build
from models.data import open_dataset
from models.metadata import read_metadata


def row(path: Path) -> str:
    """Return one line of the table."""
    built = build(read_metadata(path).model or path.stem.partition("@")[0], weights=path)
    assert built.preprocessing is not None
    found = evaluate(built.module, open_dataset("fashion-mnist", "test"), built.preprocessing)
    image = torch.zeros(1, built.channels, *built.spec.size)
    counted = analyse(torch.export.export(built.module, (image,)))
    cells = (
        built.spec.name,
        units.count(counted.parameters),
        units.count(counted.macs),
        f"{100 * found.top1:.2f} %",
        f"{100 * found.top5:.2f} %",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table of the files named on the command line."""
    print("| network | parameters | MACs | top-1 | top-5 |")
    print("|---|--:|--:|--:|--:|")
    for name in sys.argv[1:]:
        print(row(Path(name)), flush=True)


if __name__ == "__main__":
    main()
