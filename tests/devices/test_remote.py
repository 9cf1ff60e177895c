"""What a command elsewhere did, and that nothing is believed without its end."""

import subprocess

import pytest

from devices.device import Job, WorkerError
from devices.remote import Ran, disclosed, enclosed
from tests.devices import shell


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


@pytest.mark.parametrize(
    ("what_happens", "cause", "told"),
    [
        ("freeze", "hung", "no answer within 1 s; the worker was killed"),
        ("silence", "transport", "no answer within 1 s: .* the link is cut"),
    ],
)
def test_silence_is_the_worker_s_fault_only_where_the_device_answers(
    tmp_path, onnx, what_happens, cause, told
):
    device = shell.device(tmp_path / "home")
    session = device.open(Job(artifact=onnx, runtime="onnxruntime"))
    session._timeout_s = 1.0
    getattr(device.transport, what_happens)()
    with pytest.raises(WorkerError, match=told) as caught:
        session.measure(1)
    assert caught.value.cause == cause
    device.close()
