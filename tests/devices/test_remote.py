import pytest

from devices.device import Job, WorkerError
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
