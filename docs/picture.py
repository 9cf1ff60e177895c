"""Draw what a command prints as an SVG, up to a line if one is named.

``python docs/picture.py 'bench report' notes > docs/report.svg``
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 118


def draw(command: str, until: str | None = None) -> str:
    """Return the SVG of a terminal in which `command` was typed, cut at the line `until`."""
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    found = subprocess.run(
        shlex.split(command), capture_output=True, text=True, check=True, env=environment
    )
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        for line in Text.from_ansi(found.stdout).split():
            if line.plain.strip() == until:
                break
            console.print(line)
    svg = console.export_svg(title=command)
    return re.sub(r"@font-face\s*{.*?}", "", svg, flags=re.DOTALL)  # nothing is fetched by a reader


if __name__ == "__main__":
    sys.stdout.write(draw(*sys.argv[1:]))
