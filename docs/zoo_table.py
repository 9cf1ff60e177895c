"""Print what the zoo's test proved, as a Markdown table.

    pytest tests/export/test_zoo.py --junitxml=zoo.xml
    python docs/zoo_table.py zoo.xml

One row a network and format. A cell holds the PSNR in dB against the float original, the share of
equal best answers among the inputs where the original is decided (`-`: it is on none, as its
weights are random), and the file's bytes over those of its parameters alone at that precision.
"""

import json
import sys
from xml.etree import ElementTree

PRECISIONS = {"fp32": 4, "fp16": 2, "int8": 1}
Figures = dict[str, float | str | None]


def read(path: str) -> dict[tuple[str, str], dict[str, Figures]]:
    """Return the figures of each network and format, by precision."""
    found: dict[tuple[str, str], dict[str, Figures]] = {}
    for item in ElementTree.parse(path).iter("property"):  # noqa: S314
        figures = json.loads(item.attrib["value"])
        form, _, precision = item.attrib["name"].partition("-")
        found.setdefault((figures["network"], form), {})[precision] = figures
    return found


def cell(figures: Figures | None, weight_bytes: int) -> str:
    """Return one file's figures, or nothing where it was not made."""
    if figures is None:
        return ""
    agreed = "-" if figures["top1"] is None else f"{figures['top1']:.0%}"
    over = float(figures["size_bytes"] or 0) / (weight_bytes * float(figures["parameters"] or 1))
    return f"{figures['psnr_db']:.0f} dB, {agreed}, {over:.2f}x"


def main() -> None:
    """Print the table of the file named on the command line."""
    print(f"| network | format | {' | '.join(PRECISIONS)} |")
    print(f"|---|---|{'---|' * len(PRECISIONS)}")
    for (network, form), made in sorted(read(sys.argv[1]).items()):
        cells = [cell(made.get(name), size) for name, size in PRECISIONS.items()]
        print(f"| `{network}` | {form} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
