"""Every command of the README runs, in its order, where a newcomer would run it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.devices.exactly import needs_exact
from tests.devices.servers import serving
from tests.hosts.requirements import unmet

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
OK = {0, 3}  # 3: measured on a busy machine, and said so


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


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
        allowed = OK if command.startswith(("bench run", "bench decide", "bench tradeoff")) else {0}
        assert result.returncode in allowed, f"{command}\n{result.stdout}\n{result.stderr}"
    assert (tmp_path / "report.md").read_text().startswith("#")


@pytest.mark.slow
@pytest.mark.docs
@pytest.mark.hosts
@needs_exact
def test_the_commands_of_the_exact_clock_gate_a_network(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "exact.md").read_text()
    (tmp_path / "pyproject.toml").write_text(blocks("toml", text)[0])
    commands = [line for block in blocks("sh", text) for line in block.splitlines()]
    done = [run(command, tmp_path) for command in commands]
    assert [(r.args, r.stderr) for r in done if r.returncode] == []
    assert commands[-1] == "bench check"
    assert "identical" in done[-1].stdout


@pytest.mark.slow
@pytest.mark.docs
@pytest.mark.hosts
@pytest.mark.skipif(bool(unmet()), reason=unmet())
def test_the_commands_of_the_cloud_measure_a_server(tmp_path: Path) -> None:
    pytest.importorskip("tritonclient.http", reason="the extra 'cloud' is not installed")
    pytest.importorskip("uvicorn", reason="the extra 'cloud' is not installed")
    first, then = blocks("sh", (ROOT / "docs" / "cloud.md").read_text())
    export, serve = first.splitlines()
    assert run(export, tmp_path).returncode == 0
    arguments = serve.removeprefix("edgeworthy devices serve ").split()
    with serving(*arguments, cwd=tmp_path) as (url, _):
        for command in then.splitlines():
            result = run(command.replace("http://127.0.0.1:8080", url), tmp_path)
            assert result.returncode in OK, f"{command}\n{result.stdout}\n{result.stderr}"


@pytest.mark.slow
@pytest.mark.docs
def test_the_commands_of_the_accuracy_table_train_what_they_name(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "accuracy.md").read_text()
    commands = [line for block in blocks("sh", text) for line in block.splitlines()]
    assert len(commands) >= 8
    sample = ROOT / "tests" / "data" / "fashion-mnist-sample"
    made = "@fashion-mnist.safetensors"
    few = f"--data {shlex.quote(str(sample))} --epochs 1"  # later options replace earlier ones
    for command in commands:
        result = run(f"{command.replace(made, f'@{sample.name}.safetensors')} {few}", tmp_path)
        assert result.returncode == 0, f"{command}\n{result.stderr}"


def test_the_first_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^\$ make (\w+)", README, re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_nouns_of_the_demo_are_commands() -> None:
    demo = (ROOT / "docs" / "demo.sh").read_text()
    assert set(re.findall(r"^say (\w+)", demo, re.MULTILINE)) == {"edgeworthy", "bench"}


def test_a_picture_shows_what_a_command_prints_up_to_a_line() -> None:
    command = f"{shlex.quote(sys.executable)} -c \"print('a<b'); print('end'); print('more')\""
    drawn = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "picture.py"), command, "end"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    body = drawn.rpartition("</text>")[0].partition("-matrix")[2]
    assert "a&lt;b" in body
    assert ">more" not in body
    assert "@font-face" not in drawn


def test_the_pictures_of_the_readme_are_there() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)
