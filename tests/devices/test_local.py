"""This machine as a device: what its workers see, and what is left of them."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from devices import facts
from devices.device import DeviceError, WorkerError
from devices.local import PACKAGES, REFERENCES, RUNTIMES, LocalDevice
from tests.devices.conftest import expect_the_logits, refused

ROOT = Path(__file__).parents[2]


def with_path(monkeypatch, directory, name, text):
    (directory / name).write_text(textwrap.dedent(text))
    monkeypatch.setenv("PYTHONPATH", str(directory))


def test_without_torch_the_other_runtimes_work(onnx, tflite, open_session, monkeypatch, tmp_path):
    with_path(monkeypatch, tmp_path, "sitecustomize.py", "import sys; sys.modules['torch'] = None")
    expect_the_logits(open_session(onnx))
    expect_the_logits(open_session(tflite, "litert"))
    with pytest.raises(WorkerError, match=r"missing-runtime: no torch here.*edgeworthy\[train\]"):
        LocalDevice().probe("torch")


def test_chatter_on_standard_output_does_not_reach_the_protocol(
    onnx, open_session, monkeypatch, tmp_path
):
    chatty = """
        import os, sys
        os.write(1, b'{"event": "error", "cause": "chatter"}\\n')
        print("loading ...", flush=True)
        sys.path.remove(os.path.dirname(__file__))
        del sys.modules["onnxruntime"]
        import onnxruntime
    """
    with_path(monkeypatch, tmp_path, "onnxruntime.py", chatty)
    expect_the_logits(open_session(onnx))


def test_our_checkout_is_not_on_the_workers_path(monkeypatch, tmp_path):
    # An installed edgeworthy can be imported anywhere; a path that a user sets must not add it.
    hook = f"import sys\nif {str(ROOT)!r} in sys.path: sys.exit('ours')"
    with_path(monkeypatch, tmp_path, "sitecustomize.py", hook)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    assert LocalDevice().probe("onnxruntime").startswith("onnxruntime ")


HOST = """
import sys, threading
from pathlib import Path
from devices.device import Job
from devices.local import PACKAGES, REFERENCES, RUNTIMES, LocalDevice

def work():
    session = LocalDevice().open(Job(artifact=Path(sys.argv[1]), runtime="onnxruntime", threads=1))
    print(session.pid, flush=True)
    session.measure({runs})
    threading.Event().wait()

{start}
"""


@pytest.mark.parametrize(
    ("start", "runs"),
    [("work()", 10**8), ("threading.Thread(target=work).start()", 1)],
    ids=["busy", "idle, started from a thread"],
)
def test_nothing_is_left_when_the_host_is_killed(onnx, start, runs):
    if start == "work()" and sys.platform != "linux":
        pytest.skip("only Linux ends a busy worker with its host")
    program = HOST.format(start=start, runs=runs)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(onnx)], cwd=ROOT, stdout=subprocess.PIPE
    ) as host:
        worker = psutil.Process(int(host.stdout.readline()))
        host.kill()
    end = time.monotonic() + 20
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the worker outlived its host"
        time.sleep(0.02)


needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="binding to cores needs Linux"
)


@needs_affinity
@pytest.mark.parametrize("threads", [None, 2])
def test_cores_hold_for_all_threads_of_the_worker(onnx, open_session, threads):
    core = min(os.sched_getaffinity(0))
    device = LocalDevice("one", cpus=[core])
    session = open_session(onnx, device=device, threads=threads)
    assert session.ready.threads == (threads or 1)
    tasks = Path(f"/proc/{session.pid}/task").iterdir()
    assert {frozenset(os.sched_getaffinity(int(task.name))) for task in tasks} == {
        frozenset({core})
    }
    assert device.info().facts["cpus"] == str(core)
    assert device.info().fingerprint != LocalDevice("one").info().fingerprint


@needs_affinity
def test_a_core_that_is_not_there_is_named():
    device = LocalDevice("big", cpus=[4095])
    with pytest.raises(DeviceError, match="device 'big': core 4095 is not there"):
        device.info()
    with pytest.raises(WorkerError, match="start: error: device 'big': core 4095"):
        device.probe("onnxruntime")


def test_info_does_not_depend_on_the_name():
    first, second = LocalDevice("a").info(), LocalDevice("b").info()
    assert first.fingerprint == second.fingerprint
    assert first.facts["processor"]
    assert not first.emulated


def test_the_fingerprint_ignores_what_updates_change():
    found = facts.facts()
    updated = {**found, "release": "99.0", "python": "4.0", "governor": "powersave"}
    assert facts.fingerprint(updated) == facts.fingerprint(found)
    assert facts.fingerprint({**found, "processor": "another"}) != facts.fingerprint(found)


def test_runtimes_are_found_by_format_without_importing_them():
    device = LocalDevice()
    assert device.runtimes("tflite") == ["litert"]
    assert device.runtimes("onnx") == ["onnxruntime"]
    assert device.runtimes("coreml") == ["coreml-reference"]
    assert device.references("tflite") == ["litert-builtin"]
    program = (
        "import sys; from devices.local import LocalDevice; LocalDevice().runtimes('tflite'); "
        "LocalDevice().runtimes('torch'); "
        "print([n for n in ('torch', 'ai_edge_litert', 'onnxruntime') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_runtime_is_looked_for():
    kinds = [*RUNTIMES.values(), *REFERENCES.values()]
    assert {p for kind in kinds for packages in kind.values() for p in packages} == {*PACKAGES}


def test_another_environment_is_asked_what_it_has(onnx, open_session, tmp_path):
    bare = LocalDevice("bare", python=environment(tmp_path / "bare"))
    assert [bare.runtimes(kind) for kind in ("tflite", "onnx", "torch")] == [[], [], []]
    with pytest.raises(WorkerError, match=r"ModuleNotFoundError.*numpy"):
        bare.probe("onnxruntime")
    full = LocalDevice("full", python=environment(tmp_path / "full", "--system-site-packages"))
    if full.runtimes("onnx"):  # this one's packages, where it is not itself an environment
        expect_the_logits(open_session(onnx, device=full))


def environment(directory, *options):
    venv = [sys.executable, "-m", "venv", "--without-pip", *options, str(directory)]
    subprocess.run(venv, check=True)
    return str(directory / "bin" / "python")


def test_a_python_that_is_not_there_is_named():
    device = LocalDevice("old", python="/nowhere/bin/python")
    message = "device 'old': /nowhere/bin/python is no program; set its python in devices.toml"
    with pytest.raises(DeviceError, match=message):
        device.info()
    with pytest.raises(WorkerError, match=message):
        device.probe("litert")


def test_a_missing_runtime_names_the_extra_to_install(onnx, monkeypatch, tmp_path):
    with_path(
        monkeypatch, tmp_path, "sitecustomize.py", "import sys; sys.modules['onnxruntime'] = None"
    )
    error = refused(onnx)
    assert error.cause == "missing-runtime"
    assert error.detail.endswith("pip install 'edgeworthy[bench]'")
