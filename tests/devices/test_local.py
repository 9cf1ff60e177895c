"""The protocol end to end: a real worker, a real runtime, a real artifact."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from devices import facts
from devices.device import DeviceError, Job, WorkerError
from devices.local import LocalDevice
from export.artifact import (
    GOLDEN,
    MANIFEST,
    Contract,
    Tensor,
    read_manifest,
    write_manifest,
)
from tests import tiny
from tests.devices.conftest import sign

ROOT = Path(__file__).parents[2]
RUNTIMES = [("tflite", "litert"), ("onnx", "onnxruntime"), ("torch_program", "torch")]
every_runtime = pytest.mark.parametrize(("artifact", "runtime"), RUNTIMES)


@pytest.fixture
def artifact(request):
    return request.getfixturevalue(request.param)


def every(argnames="artifact,runtime"):
    return pytest.mark.parametrize(argnames, RUNTIMES, indirect=["artifact"])


def expect(session, rows=None):
    np.testing.assert_allclose(
        session.verify()["logits"], tiny.forward(tiny.images()) if rows is None else rows, atol=1e-4
    )


@every()
def test_each_runtime_proves_measures_and_ends(artifact, runtime, open_session):
    session = open_session(artifact, runtime, threads=1)
    expect(session)
    assert len(session.measure(7)) == 7
    assert min(session.measure(3)) > 0
    assert session.ready.load_ns > 0
    assert session.ready.runtime == runtime
    assert session.ready.runtime_version.split()[-1][0].isdigit()
    session.close()
    assert not psutil.pid_exists(session.pid)


@every()
def test_threads_are_as_found(artifact, runtime, open_session):
    assert open_session(artifact, runtime, threads=1).ready.threads == 1
    assert open_session(artifact, runtime, threads=2).ready.threads == 2


@every()
def test_another_batch_is_proved_in_every_place(artifact, runtime, open_session):
    session = open_session(artifact, runtime, threads=1, batch=3)
    expect(session)
    assert len(session.measure(2)) == 2


@every()
def test_predict_gives_the_best_classes_also_of_a_batch_not_full(
    artifact, runtime, open_session, tmp_path
):
    rows = np.load(artifact / GOLDEN)["in.image"]
    np.save(tmp_path / "images.npy", rows)
    best = np.argsort(-tiny.forward(tiny.images()), axis=1)[:, :2].tolist()
    for batch in (1, 3):
        session = open_session(artifact, runtime, threads=1, batch=batch)
        assert session.predict(tmp_path / "images.npy", top=2) == best


def test_images_of_another_shape_are_refused(onnx, open_session, tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((2, 8, 8, 1), dtype=np.float32))
    with pytest.raises(WorkerError, match=r"\[8, 8, 1\], the artifact takes 1 input"):
        open_session(onnx).predict(tmp_path / "images.npy")


def test_memory_is_named_and_never_falls(onnx, open_session):
    session = open_session(onnx)
    assert session.memory().after_run is None
    session.measure(1)
    memory = session.memory()
    assert "VmHWM" in memory.definition or "ru_maxrss" in memory.definition
    assert 0 < memory.before_load <= memory.after_load <= memory.after_run


def test_a_wrong_answer_is_reported_as_computed(tmp_path, open_session):
    session = open_session(tiny.tiny_onnx(tmp_path, wrong=True))
    expect(session)


def test_a_file_of_one_batch_says_how_to_get_another(tmp_path, open_session):
    artifact = tiny.tiny_onnx(tmp_path, dynamic_batch=False)
    with pytest.raises(WorkerError) as caught:
        open_session(artifact, batch=8)
    assert (caught.value.stage, caught.value.cause) == ("load", "unsupported")
    assert caught.value.detail == "this file is made for batch 1; export it with --batch 8"


def custom(tmp_path, nodes, inputs, outputs, golden, *, initializers=()):
    """Write an artifact of a graph of its own: inputs and outputs are (Tensor, ONNX name)."""
    import onnx
    from onnx import TensorProto, helper

    types = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
    types |= {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8}
    values = [
        [helper.make_tensor_value_info(t.name, types[t.dtype], ["batch", *t.shape[1:]]) for t in ts]
        for ts in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "custom", *values, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    target = tmp_path / "custom" / "onnx-fp32"
    target.mkdir(parents=True)
    onnx.save(model, str(target / "model.onnx"))
    contract = Contract(
        inputs=tuple(reversed(inputs)),
        outputs=tuple(reversed(outputs)),
        dynamic_batch=True,
        preprocessing=None,
        postprocessing="none",
    )
    tiny.finish(target, "onnx", contract, golden, name="custom")
    return target


def floats(name, dtype="float32"):
    return Tensor(name=name, shape=(1, 3), dtype=dtype, layout="NC")


A = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_several_inputs_and_outputs_go_by_name(tmp_path, open_session):
    from onnx import helper

    nodes = [helper.make_node("Add", ["a", "b"], ["sum"])]
    nodes += [helper.make_node("Sub", ["a", "b"], ["difference"])]
    golden = {"in.a": A, "in.b": 10 * A, "out.sum": 11 * A, "out.difference": -9 * A}
    pairs = [floats("a"), floats("b")], [floats("sum"), floats("difference")]
    session = open_session(custom(tmp_path, nodes, *pairs, golden), batch=2)
    outputs = session.verify()
    np.testing.assert_array_equal(outputs["sum"], 11 * A)
    np.testing.assert_array_equal(outputs["difference"], -9 * A)


def test_integer_inputs_and_outputs_read_as_float(tmp_path, open_session):
    from onnx import helper, numpy_helper

    constants = {
        "si": np.float32(0.5),
        "zi": np.uint8(3),
        "so": np.float32(0.25),
        "zo": np.int8(-7),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["a", "si", "zi"], ["real"]),
        helper.make_node("QuantizeLinear", ["real", "so", "zo"], ["b"]),
    ]
    inputs = [msgspec.structs.replace(floats("a", "uint8"), scale=0.5, zero_point=3)]
    outputs = [msgspec.structs.replace(floats("b", "int8"), scale=0.25, zero_point=-7)]
    initializers = [numpy_helper.from_array(np.array(v), k) for k, v in constants.items()]
    golden = {"in.a": A, "out.b": A}
    artifact = custom(tmp_path, nodes, inputs, outputs, golden, initializers=initializers)
    found = open_session(artifact).verify()["b"]
    np.testing.assert_array_equal(found, A)
    assert found.dtype == np.float32


def test_float16_inputs_and_outputs_read_as_float(tmp_path, open_session):
    from onnx import helper

    nodes = [helper.make_node("Neg", ["a"], ["b"])]
    artifact = custom(
        tmp_path,
        nodes,
        [floats("a", "float16")],
        [floats("b", "float16")],
        {"in.a": A, "out.b": -A},
    )
    assert open_session(artifact).verify()["b"].tolist() == (-A).tolist()


def test_a_row_that_leaks_into_its_neighbour_shows(tmp_path, open_session):
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["a"], ["mean"], keepdims=1),
        helper.make_node("Add", ["a", "mean"], ["b"]),
    ]
    golden = {"in.a": A, "out.b": A + A.mean(axis=1, keepdims=True)}
    artifact = custom(tmp_path, nodes, [floats("a")], [floats("b")], golden)
    np.testing.assert_allclose(open_session(artifact).verify()["b"], golden["out.b"])
    assert not np.allclose(open_session(artifact, batch=2).verify()["b"], golden["out.b"])


def test_an_output_of_another_shape_is_refused(tmp_path, open_session):
    from onnx import helper

    nodes = [helper.make_node("Concat", ["a", "a"], ["b"], axis=1)]
    artifact = custom(tmp_path, nodes, [floats("a")], [floats("b")], {"in.a": A, "out.b": A})
    with pytest.raises(WorkerError, match=r"shape \[1, 6\], the manifest promises \[1, 3\]"):
        open_session(artifact).verify()


@pytest.fixture
def copy(onnx, tmp_path):
    return Path(shutil.copytree(onnx, tmp_path / "copy"))


def refused(artifact, runtime="onnxruntime"):
    with pytest.raises(WorkerError) as caught:
        LocalDevice().open(Job(artifact=artifact, runtime=runtime))
    assert "\n" not in str(caught.value)
    assert caught.value.stage == "load"
    return caught.value


def test_a_truncated_model_is_found_by_its_hash(copy):
    model = copy / "model.onnx"
    model.write_bytes(model.read_bytes()[:-40])
    assert "model.onnx does not match the sha256 in its manifest" in refused(copy).detail


def test_a_model_corrupt_from_the_start_is_an_error_of_one_line(copy):
    (copy / "model.onnx").write_bytes(b"\xff" * 300)
    sign(copy)
    assert refused(copy).cause == "error"


def test_a_corrupt_tflite_file_is_an_error_of_one_line(tflite, tmp_path):
    artifact = Path(shutil.copytree(tflite, tmp_path / "copy"))
    (artifact / "model.tflite").write_bytes(b"\0" * 64)
    sign(artifact)
    assert refused(artifact, "litert").cause in ("error", "died")


@pytest.mark.parametrize("name", [MANIFEST, GOLDEN, "model.onnx"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    assert f"{name}: No such file or directory; export it again" in refused(copy).detail


def test_golden_data_without_an_output_says_which(copy):
    np.savez(copy / GOLDEN, **{"in.image": tiny.images()})
    sign(copy)
    assert "out.logits" in refused(copy).detail


def test_golden_data_is_never_unpickled(copy):
    np.savez(copy / GOLDEN, **{"in.image": np.array([{}], dtype=object)})
    sign(copy)
    assert "pickle" in refused(copy).detail


def test_a_runtime_of_another_format_is_refused(onnx):
    assert refused(onnx, "litert").detail == "litert runs tflite files, this artifact is onnx"


@pytest.mark.skipif(sys.platform != "linux", reason="address space limits work on Linux")
def test_a_batch_beyond_the_memory_is_out_of_memory(onnx, open_session, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    device = LocalDevice(limit_bytes=3 << 30)
    session = open_session(onnx, device=device, threads=1, batch=40_000_000)
    with pytest.raises(WorkerError) as caught:
        session.measure(1)
    assert (caught.value.stage, caught.value.cause) == ("measure", "out-of-memory")
    expect(open_session(onnx, device=device, threads=1))


def test_a_killed_worker_ends_one_session_only(onnx, open_session):
    first, second = open_session(onnx), open_session(onnx)
    os.kill(first.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        first.measure(1)
    expect(second)


def test_sessions_interleave(onnx, tflite, open_session):
    sessions = [open_session(onnx, threads=1), open_session(tflite, "litert", threads=1)]
    for _ in range(3):
        assert [len(session.measure(2)) for session in sessions] == [2, 2]
    for session in sessions:
        expect(session)


def with_path(monkeypatch, directory, name, text):
    (directory / name).write_text(textwrap.dedent(text))
    monkeypatch.setenv("PYTHONPATH", str(directory))


def test_without_torch_the_other_runtimes_work(onnx, tflite, open_session, monkeypatch, tmp_path):
    with_path(monkeypatch, tmp_path, "sitecustomize.py", "import sys; sys.modules['torch'] = None")
    expect(open_session(onnx))
    expect(open_session(tflite, "litert"))
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
    expect(open_session(onnx))


def test_our_own_packages_are_not_on_the_workers_path(monkeypatch, tmp_path):
    hook = "import importlib.util, sys\nif importlib.util.find_spec('bench'): sys.exit('ours')"
    with_path(monkeypatch, tmp_path, "sitecustomize.py", hook)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    assert LocalDevice().probe("onnxruntime").startswith("onnxruntime ")


HOST = """
import sys, threading
from pathlib import Path
from devices.device import Job
from devices.local import LocalDevice

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
def test_cores_hold_for_all_threads_of_the_worker(onnx, open_session):
    core = min(os.sched_getaffinity(0))
    device = LocalDevice("one", cpus=[core])
    session = open_session(onnx, device=device, threads=2)
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
    assert device.runtimes("coreml") == []
    program = (
        "import sys; from devices.local import LocalDevice; LocalDevice().runtimes('tflite'); "
        "LocalDevice().runtimes('torch'); "
        "print([n for n in ('torch', 'ai_edge_litert', 'onnxruntime') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_missing_runtime_names_the_extra_to_install(onnx, monkeypatch, tmp_path):
    with_path(
        monkeypatch, tmp_path, "sitecustomize.py", "import sys; sys.modules['onnxruntime'] = None"
    )
    error = refused(onnx)
    assert error.cause == "missing-runtime"
    assert error.detail.endswith("pip install 'edgeworthy[bench]'")


def test_an_old_manifest_key_does_not_stop_a_worker(copy, open_session):
    manifest = read_manifest(copy)
    write_manifest(copy, msgspec.structs.replace(manifest, tools={"torch": "1"}))
    expect(open_session(copy))


@pytest.mark.slow
def test_several_inputs_and_outputs_of_a_tflite_file(tmp_path, open_session):
    import litert_torch
    import torch

    class Two(torch.nn.Module):
        def forward(self, a, b):
            return a + b, a - b

    target = tmp_path / "two" / "tflite-fp32"
    target.mkdir(parents=True)
    with tiny.quiet():
        edge = litert_torch.convert(Two().eval(), (torch.zeros(1, 3), torch.zeros(1, 3)))
        edge.export(str(target / "model.tflite"))
    contract = Contract(
        inputs=(floats("a"), floats("b")),
        outputs=(floats("sum"), floats("difference")),
        dynamic_batch=False,
        preprocessing=None,
        postprocessing="none",
    )
    golden = {"in.a": A, "in.b": 10 * A, "out.sum": 11 * A, "out.difference": -9 * A}
    tiny.finish(target, "tflite", contract, golden, name="two")
    outputs = open_session(target, "litert").verify()
    np.testing.assert_array_equal(outputs["sum"], 11 * A)
    np.testing.assert_array_equal(outputs["difference"], -9 * A)
