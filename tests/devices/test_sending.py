"""What a person reads while something large is sent to a device."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devices import sending
from tests.conftest import ROOT

# As commands do: a file of 20 MB, a quarter of which is sent in each half second.
PROGRAM = """
import sys, time
from pathlib import Path
from devices import sending

seconds, begin = float(sys.argv[2]), time.monotonic()
with sending.shown(sending.Stderr()):
    sent = lambda: int(10_000_000 * (time.monotonic() - begin))
    with sending.told(Path(sys.argv[1]), "board", sent):
        time.sleep(seconds)
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "numpy-2.4.6-cp311-cp311-manylinux_2_28_aarch64.whl"
    with path.open("wb") as made:
        made.truncate(20_000_000)
    return path


def piped(wheel: Path, seconds: float) -> str:
    command = [sys.executable, "-c", PROGRAM, str(wheel), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def test_it_is_one_line_where_nobody_watches(wheel: Path) -> None:
    assert piped(wheel, 2.5) == "sending numpy 2.4.6 (20 MB) to board\n"


def test_what_is_sent_in_a_moment_is_no_line(wheel: Path) -> None:
    assert piped(wheel, 0.1) == ""


def test_without_a_screen_nothing_is_told(wheel: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with sending.told(wheel, "board"):
        sending.note("downloading")
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_the_line_goes_on_and_is_gone_in_the_end(wheel: Path) -> None:
    here, there = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, str(wheel), "2.6"]
    subprocess.run(command, cwd=ROOT, stderr=there, check=True)
    os.close(there)
    text = os.read(here, 10_000).decode()
    os.close(here)
    shown = re.findall(r"\rsending numpy 2\.4\.6 to board: (\d+) of 20 MB, \d s\x1b\[K", text)
    assert len(shown) == 2
    assert int(shown[0]) < int(shown[1])
    assert text.endswith("\r\x1b[K")
