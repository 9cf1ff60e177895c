"""A process that has imported torch and becomes the steps of an export, by forking (Linux).

Importing torch and its exporter takes every step 3 s of a processor, and would be done four times
for a network. Runs as ``python -m export.forking DESCRIPTOR``: each message on that socket is a
module with its arguments, and comes with the descriptors of the step's stdin, stdout and stderr.
"""

import atexit
import gc
import json
import os
import runpy
import socket
import sys
from contextlib import suppress

import msgspec

from export.child import end_with_parent
from export.jobs import Event


def preload() -> None:
    """Import what every step needs, as far as it is there: a step says itself what it misses."""
    with suppress(ImportError):
        import torch._dynamo
        import torch._export.non_strict_utils
        import torch.export.pt2_archive  # noqa: F401
    # Converters make millions of objects that live as long as they do: looking through them for
    # garbage at Python's own pace takes a tenth of the time.
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def serve(requests: socket.socket) -> list[str]:
    """Fork a step for every request until the host closes; return, in the step, what it is to run.

    Raises:
        SystemExit: in the server, once the host is gone or needs it no more.
    """
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1 << 16, 3)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            sys.exit()
        if os.fork() == 0:
            requests.close()
            _guard(descriptors)
            command: list[str] = json.loads(message)
            return command
        for descriptor in descriptors:
            os.close(descriptor)


def _guard(descriptors: list[int]) -> None:
    """Fork the step, and return in it; stay to tell the host how it ended, and end with it."""
    end_with_parent()
    step = os.fork()
    if step:
        _, status = os.waitpid(step, 0)
        ended = Event(event="exit", exit_code=os.waitstatus_to_exitcode(status))
        os.write(descriptors[1], msgspec.json.encode(ended) + b"\n")
        os._exit(0)
    end_with_parent()
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
        os.close(descriptor)


if __name__ == "__main__":
    _requests = socket.socket(fileno=int(sys.argv[1]))
    preload()
    sys.argv = serve(_requests)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    # What is registered for the end tidies up; taking torch and a converter apart would only take
    # half a second more.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
