"""The protocol end to end: a real worker, a real runtime, a real artifact."""

import os
import shutil
import signal
import sys
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from devices import worker
from devices.device import WorkerError
from devices.local import LocalDevice
from export.artifact import GOLDEN, MANIFEST, Contract, Tensor
from tests import tiny
from tests.devices.conftest import expect_the_logits, refused, sign

RUNTIMES = [
    ("tflite", "litert"),
    ("onnx", "onnxruntime"),
    pytest.param("torch_program", "torch", marks=pytest.mark.slow),
]


@pytest.fixture
def artifact(request):
    return request.getfixturevalue(request.param)


every_runtime = pytest.mark.parametrize(("artifact", "runtime"), RUNTIMES, indirect=["artifact"])


@every_runtime
def test_each_runtime_proves_measures_and_ends(artifact, runtime, open_session):
    session = open_session(artifact, runtime, threads=1)
    expect_the_logits(session)
    assert len(session.measure(7)) == 7
    assert min(session.measure(3)) > 0
    assert session.ready.load_ns > 0
    assert session.ready.runtime == runtime
    assert session.ready.runtime_version.split()[-1][0].isdigit()
    session.close()
    assert not psutil.pid_exists(session.pid)


@every_runtime
def test_threads_are_as_found(artifact, runtime, open_session):
    assert open_session(artifact, runtime, threads=1).ready.threads == 1
    assert open_session(artifact, runtime, threads=2).ready.threads == 2


def test_the_reference_evaluator_proves_as_many_rows_as_asked_and_is_never_timed(
    onnx, open_session
):
    session = open_session(onnx, "onnx-reference", batch=3)
    expect_the_logits(session)
    [logits] = session.verify(rows=2).values()
    np.testing.assert_allclose(logits, tiny.forward(tiny.images())[:2], atol=1e-4)
    with pytest.raises(WorkerError, match="never timed"):
        session.measure(1)


def test_the_interpreters_own_kernels_give_the_same_answer(tflite, open_session):
    session = open_session(tflite, "litert-builtin", threads=1, batch=3)
    expect_the_logits(session)
    assert session.ready.provider == "built-in kernels"


@every_runtime
def test_another_batch_is_proved_in_every_place(artifact, runtime, open_session):
    session = open_session(artifact, runtime, threads=1, batch=3)
    expect_the_logits(session)
    assert len(session.measure(2)) == 2


@every_runtime
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


@pytest.mark.parametrize(("artifact", "runtime"), RUNTIMES[:2], indirect=["artifact"])
def test_copies_in_and_out_can_be_measured_and_are_named(artifact, runtime, open_session):
    session = open_session(artifact, runtime, threads=1, batch=512)
    alone, whole = session.measure(50), session.measure(50, copies=True)
    assert len(whole) == 50
    assert min(whole) > min(alone) / 2
    assert session.ready.copies
    expect_the_logits(session)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_kinds_of_memory_are_named_at_three_moments(tflite, onnx, open_session):
    mapped = {}
    for artifact, runtime in ((tflite, "litert"), (onnx, "onnxruntime")):
        session = open_session(artifact, runtime)
        session.measure(1)
        memory = session.memory()
        series = {kind.name: kind for kind in memory.series}
        resident, private = series["resident"], series["private"]
        assert 0 < resident.before_load <= resident.after_load
        assert private.after_run < resident.after_run <= memory.after_run * 1.05
        assert all(kind.definition for kind in memory.series)
        mapped[runtime] = series["mapped"]
    assert mapped["litert"].before_load == 0 < mapped["litert"].after_run
    assert mapped["onnxruntime"].after_run == 0


def test_a_request_to_measure_tells_what_it_took(onnx, open_session):
    session = open_session(onnx, threads=1)
    assert session.usage is None
    samples = session.measure(50)
    assert session.usage.wall_ns >= sum(samples)
    assert 0 <= session.usage.cpu_ns <= 2 * session.usage.wall_ns


def test_the_steps_of_a_start_are_told_apart(onnx, open_session):
    ready = open_session(onnx).ready
    assert min(ready.start_ns, ready.import_ns, ready.load_ns) > 0


def test_sensors_can_be_read_between_requests(onnx, open_session):
    assert open_session(onnx).sensors().load >= 0


def test_memory_is_named_and_never_falls(onnx, open_session):
    session = open_session(onnx)
    assert session.memory().after_run is None
    session.measure(1)
    memory = session.memory()
    assert "VmHWM" in memory.definition or "ru_maxrss" in memory.definition
    assert 0 < memory.before_load <= memory.after_load <= memory.after_run


def test_a_wrong_answer_is_reported_as_computed(tmp_path, open_session):
    session = open_session(tiny.tiny_onnx(tmp_path, wrong=True))
    expect_the_logits(session)


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
    expect_the_logits(open_session(onnx, device=device, threads=1))


def test_a_killed_worker_ends_one_session_only(onnx, open_session):
    first, second = open_session(onnx), open_session(onnx)
    os.kill(first.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        first.measure(1)
    expect_the_logits(second)


def test_sessions_interleave(onnx, tflite, open_session):
    sessions = [open_session(onnx, threads=1), open_session(tflite, "litert", threads=1)]
    for _ in range(3):
        assert [len(session.measure(2)) for session in sessions] == [2, 2]
    for session in sessions:
        expect_the_logits(session)


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


def test_the_reference_proves_a_core_ml_file_and_refuses_to_be_timed(tmp_path, open_session):
    session = open_session(tiny.tiny_coreml(tmp_path), "coreml-reference", threads=1)
    assert session.ready.reference
    expect_the_logits(session)
    assert session.alarms == ()
    with pytest.raises(WorkerError) as caught:
        session.measure(1)
    assert (caught.value.stage, caught.value.cause) == ("measure", "unsupported")


def test_onnx_runtime_tells_what_each_operator_took(onnx, open_session):
    session = open_session(onnx, threads=1)
    found = session.profile(6)
    assert [operator.kind for operator in found][-1] == "Gemm"
    assert "Conv" in {operator.kind for operator in found}
    for operator in found:
        assert len(operator.ns) == len(operator.starts_ns) == 6
        assert list(operator.starts_ns) == sorted(operator.starts_ns)
    gemm = found[-1]
    assert gemm.activation_bytes == 4 * (4 + 10)
    expect_the_logits(session)  # the session that is measured is another, and still there


@pytest.mark.slow
def test_torch_tells_what_each_operator_took(torch_program, open_session):
    found = open_session(torch_program, "torch", threads=1).profile(6)
    assert [operator.name for operator in found][:2] == ["conv2d", "relu"]
    assert all(len(operator.ns) == 6 and min(operator.ns) > 0 for operator in found)


def test_litert_offers_no_profile_and_is_refused_by_name(tflite, open_session):
    with pytest.raises(WorkerError, match=r"unsupported: ai_edge_litert .*; onnxruntime and torch"):
        open_session(tflite, "litert").profile(6)


def test_a_reference_is_not_profiled(onnx, open_session):
    with pytest.raises(WorkerError, match="never timed, nor profiled"):
        open_session(onnx, "onnx-reference").profile(6)


def test_a_profile_leaves_no_file(onnx, open_session, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    session = open_session(onnx)
    before = set(tmp_path.iterdir())  # ONNX Runtime itself leaves one
    session.profile(1)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_the_peaks_are_of_a_process_beside_the_artifact(onnx, open_session):
    session = open_session(onnx, threads=1)
    before = session.memory().after_load
    found = session.peak(1)
    assert min(found.flops, found.bytes) > 1e6  # an 8-bit computer's
    assert found.method == "numpy matmul / copy"
    session.measure(1)
    assert session.memory().after_run < before + worker.LEAST_COPY
