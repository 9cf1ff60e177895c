"""A worker elsewhere: what ends it, and whose fault that was."""

import shlex
import sys

import pytest

from devices.device import Job, WorkerError
from devices.remote_child import RemoteChild
from tests.devices import shell


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


class Login(shell.Shell):
    """A way whose login greets, as a board's .bashrc may."""

    def argv(self, command):
        return super().argv(f"echo 'Welcome to your board!'; echo '{{}}'; {command}")


ECHO = 'import sys\nfor line in sys.stdin: print(\'{"event": "ok"}\', flush=True)\n'


def child(tmp_path, program, lease_s=60.0):
    return RemoteChild(Login(tmp_path), shlex.join([sys.executable, "-c", program]), lease_s)


def fails(tmp_path, program):
    started = child(tmp_path, program)
    for _ in range(2):  # whoever asks again is told again
        with pytest.raises(WorkerError) as caught:
            started.request("measure", 30)
    assert caught.value.stage == "measure"
    assert not started.is_alive
    return caught.value


def test_what_a_login_says_is_no_answer(tmp_path):
    started = child(tmp_path, ECHO)
    assert started.is_alive
    assert started.request("load", 30) == {"event": "ok"}
    started.close()


def test_an_exit_there_is_told_with_its_last_words(tmp_path):
    error = fails(tmp_path, "import sys; print('so long', file=sys.stderr); sys.exit(5)")
    assert (error.cause, error.detail) == (
        "died", "the worker ended with exit code 5; its last words: so long"
    )  # fmt: skip


def test_a_signal_there_is_told_by_its_name(tmp_path):
    error = fails(tmp_path, "import os; os.kill(os.getpid(), 11)")
    assert error.cause == "died"
    assert error.detail.startswith("the worker was killed by SIGSEGV")


def test_an_end_that_nobody_tells_of_is_the_transports_fault(tmp_path):
    error = fails(tmp_path, "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    assert error.cause == "transport"
    assert error.detail.startswith("the connection to the device ended")
