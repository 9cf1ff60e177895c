"""The emulated board is a board: an ARM, with Python and nothing else, behind the real sshd."""

import subprocess

import pytest

from tests.hosts.board import Board

pytestmark = pytest.mark.hosts


def ssh(board: Board, command: str) -> str:
    done = subprocess.run(
        ["ssh", "-F", str(board.ssh_config), "board", command],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_its_programs_are_an_arms(board: Board) -> None:
    assert ssh(board, "uname -m") == "aarch64"
    assert "CPU part\t: 0xd08" in ssh(board, "cat /proc/cpuinfo")
    assert ssh(board, "cat /sys/firmware/devicetree/base/model").startswith("Raspberry Pi 4")


def test_its_processor_is_always_set(board: Board) -> None:
    """QEMU's default one computes int8 networks wrongly."""
    assert ssh(board, "echo $QEMU_CPU") == "cortex-a72"


def test_it_has_python_and_neither_pip_nor_a_runtime_nor_a_network(board: Board) -> None:
    assert ssh(board, "python3 -c 'import sys; print(sys.version_info[:2])'") == "(3, 11)"
    for module in ("pip", "numpy", "onnxruntime", "ai_edge_litert"):
        assert ssh(board, f"python3 -c 'import {module}' 2>&1 || true").endswith(f"'{module}'")
    assert "unreachable" in ssh(board, "bash -c '</dev/tcp/192.0.2.1/80' 2>&1 || true")


def test_its_user_writes_at_home_and_nowhere_else(board: Board) -> None:
    assert ssh(board, "id -un; touch file; ls; rm file").split() == ["pi", "file"]
    assert "Read-only" in ssh(board, "touch /etc/file 2>&1 || true")


def test_a_power_cut_leaves_no_process_and_keeps_the_disk(board: Board) -> None:
    ssh(board, "echo kept > file; sleep 1000 >/dev/null 2>&1 &")
    assert any("sleep 1000" in line for line in board.processes().values())
    board.cut_power()
    assert not any("sleep 1000" in line for line in board.processes().values())
    assert ssh(board, "cat file; rm file") == "kept"


def test_a_small_disk_is_full_soon(board: Board) -> None:
    with board.small_disk("/home/pi", 1_000_000):
        assert "No space left" in ssh(board, "head -c 2000000 /dev/zero 2>&1 > big || true")
