"""Boards as a user meets them: by the command line, and by every command of docs/boards.md."""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from bench.record_file import read
from bench.rows import can_run
from tests.sshd import board as running_board
from tests.sshd import needs_sshd
from tests.test_docs import OK, blocks
from tests.tiny import tiny_onnx, tiny_tflite

ROOT = Path(__file__).parents[2]
QUICK = ("--max-seconds", "1", "--precision-target", "50%", "--processes", "1")
pytestmark = needs_sshd


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_board(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def describe(where, server, **keys):
    table = {"kind": "ssh", "host": "board", "config": str(server.config), **keys}
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    (where / "devices.toml").write_text("\n".join(["[devices.pi]", *lines]) + "\n")


@pytest.fixture
def here(server, tmp_path):
    """A directory with an artifact, and a board with the runtimes of this environment."""
    tiny_onnx(tmp_path / "artifacts")
    describe(tmp_path, server, python=sys.executable, runtimes="own", cache=str(tmp_path / "kept"))
    return tmp_path


def test_it_is_listed_with_what_it_has(cli, here):
    listed = cli("devices", "list", "--json", cwd=here)
    (row,) = [row for row in json.loads(listed.stdout) if row["name"] == "pi"]
    assert (row["kind"], row["state"], row["reason"]) == ("ssh", "ready", "")
    assert {"litert", "onnxruntime"} <= set(row["runtimes"])
    assert not (here / "kept").exists()


def test_it_is_measured_and_proved_like_this_machine(cli, here):
    done = cli("bench", "run", "--device", "pi", "--device", "cpu", *QUICK, cwd=here)
    assert done.returncode in OK, done.stderr
    found = {r.device.name: r for r in read(here / "results" / "records.jsonl") if can_run(r)}
    assert set(found) == {"pi", "cpu"}
    for record in found.values():
        assert record.failure is None
        assert record.proof.verified
    assert found["pi"].device.fingerprint == found["cpu"].device.fingerprint
    assert found["pi"].manifest == found["cpu"].manifest


def test_one_that_is_not_let_in_costs_one_line(cli, server, here):
    config = server.write_config("refused", IdentityFile=server.place / "other")
    describe(here, server, config=str(config))
    done = cli("bench", "run", "--device", "pi", *QUICK, cwd=here)
    assert (done.returncode, done.stdout) == (3, "")
    assert "board' must work without a password" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    listed = cli("devices", "list", "--json", cwd=here)
    (row,) = [row for row in json.loads(listed.stdout) if row["name"] == "pi"]
    assert row["state"] == "unauthorised"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"host": ""}, "host"),
        ({"port": 70000}, "port"),
        ({"runtimes": "mine"}, "runtimes"),
        ({"hots": "x"}, "did you mean 'host'?"),
    ],
)
def test_a_wrong_key_is_named(cli, server, here, keys, told):
    describe(here, server, **keys)
    done = cli("devices", "check", "pi", cwd=here)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.docs
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no other Python here")
def test_the_commands_of_the_page_work_with_runtimes_that_are_sent(cli, server, tmp_path):
    tiny_tflite(tmp_path / "artifacts", name="lenet5")
    home = tmp_path / "home"
    home.mkdir()
    named = tmp_path / "bin" / "ssh"  # ~/.ssh/config is that of the account that runs the tests
    named.parent.mkdir()
    found = shlex.quote(shutil.which("ssh") or "")
    named.write_text(f'#!/bin/sh\nexec {found} -F {shlex.quote(str(server.config))} "$@"\n')
    named.chmod(0o755)
    path = {"PATH": f"{named.parent}:{os.environ['PATH']}"}
    text = (ROOT / "docs" / "boards.md").read_text()
    commands = [line for block in blocks("sh", text) for line in block.splitlines()]
    assert len(commands) >= 3
    for command in commands:
        noun, *words = shlex.split(command)
        if words[:2] == ["devices", "add"]:
            words += ["--cache", str(home), "--python", "/usr/bin/python3"]
        done = cli(*([noun] if noun == "bench" else []), *words, cwd=tmp_path, env=path)
        assert done.returncode in (OK if noun == "bench" else {0}), f"{command}\n{done.stderr}"
    record = next(read(tmp_path / "results" / "records.jsonl"))
    assert record.proof.verified
    assert len(list((home / "packages").iterdir())) >= 2
