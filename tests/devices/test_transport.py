"""What a command elsewhere did, and that nothing is believed without its end."""

import subprocess

import pytest

from devices.transport import Ran, disclosed, enclosed


def done(command, before=""):
    shell = subprocess.run(
        ["sh", "-c", before + enclosed(command)], capture_output=True, text=True, check=False
    )
    return disclosed(shell.stdout, shell.stderr)


@pytest.mark.parametrize("out", ["", "one", "one\n", "\n\ntwo\n\n"])
def test_output_is_what_the_command_wrote(out):
    assert done(f"printf {out!r}") == Ran(0, out, "")


def test_an_exit_and_an_error_are_told():
    assert done("echo no >&2; exit 3") == Ran(3, "", "no\n")


def test_what_a_login_says_is_left_out():
    assert done("echo mine", before="echo 'Welcome to your board!'; ") == Ran(0, "mine\n", "")


def test_carriage_returns_of_a_terminal_do_no_harm():
    out = "::edgeworthy::begin\r\nmine\r\n\r\n::edgeworthy::end 0\r\n"
    assert disclosed(out, "") == Ran(0, "mine\r\n\r", "")


@pytest.mark.parametrize("cut", [1, 5, 20, 40])
def test_output_that_was_cut_short_is_no_result(cut):
    shell = subprocess.run(
        ["sh", "-c", enclosed("echo mine")], capture_output=True, text=True, check=False
    )
    assert disclosed(shell.stdout[:-cut], "") is None


def test_a_command_that_ends_with_a_comment_is_enclosed():
    assert done("echo mine # and a remark") == Ran(0, "mine\n", "")
