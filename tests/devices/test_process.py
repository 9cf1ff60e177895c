"""What becomes of a worker that dies, hangs, or says what it should not: real processes all."""

import os
import signal
import sys
import time

import psutil
import pytest

from devices.device import WorkerError
from devices.process import Child

ECHO = 'import sys\nfor line in sys.stdin: print(\'{"event": "ok"}\', flush=True)\n'


def python(program, **environment):
    return Child([sys.executable, "-c", program], {**os.environ, **environment})


def fails(program, timeout_s=30.0):
    child = python(program)
    with pytest.raises(WorkerError) as caught:
        child.request("measure", timeout_s)
    child.close()
    assert gone(child.pid)
    assert "\n" not in str(caught.value)
    return caught.value


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_request_is_answered():
    child = python(ECHO)
    assert child.request("load", 30) == {"event": "ok"}
    child.close()
    assert gone(child.pid)


def test_death_by_signal_names_the_signal_and_the_last_words():
    error = fails(
        "import os, sys; print('so long', file=sys.stderr, flush=True); os.kill(os.getpid(), 11)"
    )
    assert (error.stage, error.cause) == ("measure", "died")
    assert error.detail == "the worker was killed by SIGSEGV; its last words: so long"


def test_a_kill_without_evidence_of_memory_is_not_called_so():
    error = fails("import os; os.kill(os.getpid(), 9)")
    assert (error.cause, error.detail) == ("died", "the worker was killed by SIGKILL")


def test_an_exit_names_its_code():
    assert fails("raise SystemExit(5)").detail == "the worker ended with exit code 5"


def test_abort_for_want_of_memory_is_recognised():
    words = "terminate called after throwing an instance of 'std::bad_alloc'"
    error = fails(f"import os, sys; print({words!r}, file=sys.stderr, flush=True); os.abort()")
    assert error.cause == "out-of-memory"


def test_a_stopped_worker_is_hung_and_killed():
    child = python(ECHO)
    child.request("load", 30)
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(WorkerError, match=r"hung: no answer within 0\.2 s; the worker was killed"):
        child.request("measure", 0.2)
    assert gone(child.pid)


def test_asking_a_dead_worker_again_is_answered_again():
    child = python("raise SystemExit(5)")
    for _ in range(2):
        with pytest.raises(WorkerError, match="exit code 5"):
            child.request("measure", 30)


def test_what_is_no_answer_is_a_transport_error():
    assert fails("print('hello', flush=True)").cause == "transport"


def test_an_error_comes_back_as_one():
    error = fails("""print('{"event": "error", "cause": "unsupported", "detail": "no"}')""")
    assert (error.cause, error.detail) == ("unsupported", "no")


def test_endless_chatter_on_stderr_neither_blocks_nor_grows():
    child = python(f"import sys\nsys.stderr.write('x' * 3_000_000)\n{ECHO}")
    assert child.request("load", 30) == {"event": "ok"}
    child.close()
    assert len(child._tail) <= 8192


def test_close_kills_what_does_not_listen_and_its_children():
    child = python(
        "import subprocess, sys, time\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        'print(\'{"event": "%d"}\' % inner.pid, flush=True)\ntime.sleep(600)'
    )
    inner = int(child.request("load", 30)["event"])
    child.close()
    child.close()
    assert gone(child.pid)
    wait_until_gone(inner)


def wait_until_gone(pid, seconds=20.0):
    end = time.monotonic() + seconds
    while not gone(pid):
        assert time.monotonic() < end, f"process {pid} is still running"
        time.sleep(0.02)


def test_a_program_that_is_not_there_is_a_worker_error():
    with pytest.raises(WorkerError, match=r"start: died: cannot start /no/python"):
        Child(["/no/python"], {})
