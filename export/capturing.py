"""A user's network captured into a `.pt2` file, by a process that sees the user's packages only."""

import sys
from pathlib import Path

from export import child
from export.child import Children
from export.precision import ExportError
from export.source import Source


def capture_file(children: Children, source: Source, target: Path, log: Path) -> None:
    """Write the program of a Python file's network to `target`; what it prints goes to `log`.

    Raises:
        ExportError: the file, its factory or the capture failed; the message is the last word.
        KeyboardInterrupt: `children` were stopped meanwhile.
    """
    script = str(Path(__file__).with_name("capture.py"))
    shapes = ["x".join(map(str, shape)) for shape in source.shapes]
    command = [sys.executable, "-P", script, str(source.path), str(source.factory), str(target)]
    process = children.start([*command, *shapes], log)
    process.communicate()
    if children.finish(process) != 0:
        if children.stopped.is_set():
            raise KeyboardInterrupt
        raise ExportError(child.last_word(process.returncode, log))
