"""Every command of the README runs, in its order, where a newcomer would run it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
OK = {0, 3}  # 3: measured on a busy machine, and said so


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run(command: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    noun, *arguments = shlex.split(command)
    start = [noun] if noun != "edgeworthy" else []
    return subprocess.run(
        [sys.executable, str(ROOT / "edgeworthy.py"), *start, *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=600, check=False, env=os.environ,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.docs
def test_the_commands_of_the_readme_run_in_their_order(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "net.py", tmp_path)
    (tmp_path / "pyproject.toml").write_text(blocks("toml")[0])
    commands = [line for block in blocks("sh") for line in block.splitlines() if line]
    assert len(commands) >= 10
    for command in commands:
        result = run(command, tmp_path)
        allowed = OK if command.startswith("bench run") else {0}
        assert result.returncode in allowed, f"{command}\n{result.stdout}\n{result.stderr}"
    assert (tmp_path / "report.md").read_text().startswith("#")


def test_the_first_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^\$ make (\w+)", README, re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_nouns_of_the_demo_are_commands() -> None:
    demo = (ROOT / "docs" / "demo.sh").read_text()
    assert set(re.findall(r"^say (\w+)", demo, re.MULTILINE)) == {"edgeworthy", "bench"}
