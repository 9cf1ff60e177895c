"""The kernel's own link: refused in its words where there is none, without leaving anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.devices.test_network import HAS_NETEM, ROOT
from tests.hosts.requirements import unmet

pytestmark = [pytest.mark.hosts, pytest.mark.skipif(bool(unmet()), reason=unmet())]
SHAPE = "Shape(up=1, down=2, delay=20, loss=0.015, mtu=1500)"


def inside(script: str, path: str | None = None) -> str:
    """Return what a script prints in a network of its own, with what it needs imported."""
    begin = "import subprocess\nfrom devices import netem\nfrom devices.shaper import Shape\n"
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", f"{begin}{script}"],
        capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **({"PATH": path} if path else {})},
    )  # fmt: skip
    return done.stdout


def pair(more: str = "", path: str | None = None) -> str:
    refused = "except netem.RefusedError as error: print(error)"
    links = "print(subprocess.run(['ip', '-br', 'link'], capture_output=True, text=True).stdout)"
    script = f"try: netem.pair('one', 'other', {SHAPE})\n{refused}\n{links}\n{more}"
    return inside(script, path)


@pytest.mark.skipif(HAS_NETEM, reason="this kernel has netem")
def test_a_kernel_without_netem_refuses_in_its_own_words() -> None:
    said, *links = pair().splitlines()
    assert said == "Specified qdisc kind is unknown."
    assert not any(line.startswith(("one", "other")) for line in links)


def test_a_tc_that_fails_is_quoted_and_nothing_is_left(tmp_path: Path) -> None:
    stub = tmp_path / "tc"
    stub.write_text("#!/bin/sh\necho 'tc is not for you' >&2\nexit 1\n", encoding="utf-8")
    stub.chmod(0o755)
    said, *links = pair(path=f"{tmp_path}:{os.environ['PATH']}").splitlines()
    assert said == "tc is not for you"
    assert not any(line.startswith(("one", "other")) for line in links)


@pytest.mark.skipif(not HAS_NETEM, reason="this kernel has no netem")
def test_the_kernel_is_given_the_link() -> None:
    show = "print(subprocess.run(['tc', 'qdisc'], capture_output=True, text=True).stdout)"
    (told,) = (line for line in pair(show).splitlines() if "netem" in line)
    for figure in ("delay 20ms", "loss 1.5%", "rate 1Mbit", "limit 28"):
        assert figure in told
