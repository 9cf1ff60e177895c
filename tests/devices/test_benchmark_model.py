"""What Google's benchmark_model prints, read; and a double of it, driven on a phone.

Untested with Google's program itself: there is none to be had here.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.record_file import read
from devices.android import AndroidDevice, Settings
from devices.benchmark_model import told
from devices.device import Job, WorkerError
from tests.conftest import Cli
from tests.hosts.phone import Phone
from tests.hosts.phone_root import LIBRARIES, LOADER

DOUBLE = Path(__file__).with_name("benchmark_model_double.c")
PRINTED = """STARTING!
Log parameter values verbosely: [0]
Num threads: [4]
Graph: [/data/local/tmp/mobilenet_v2_1.0_224.tflite]
Use gpu: [1]
Loaded model /data/local/tmp/mobilenet_v2_1.0_224.tflite
INFO: Initialized TensorFlow Lite runtime.
GPU delegate created.
INFO: Replacing 66 out of 66 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions.
Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
The input model file size (MB): 13.9786
Initialized session in 731.046ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=62 first=25139 curr=7714 min=7430 max=25139 avg=8094.4 std=2196

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=128 first=7893 curr=7792 min=7331 max=9118 avg=7770.77 std=229

Inference timings in us: Init: 731046, First inference: 25139, Warmup (avg): 8094.4, Inference (avg): 7770.77
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your discretion.
Memory footprint delta from the start of the tool (MB): init=88.6 overall=91.2
"""  # noqa: E501


def test_what_it_prints_is_read() -> None:
    found = told(PRINTED)
    assert found is not None
    assert (found.init_ns, found.first_ns) == (731_046_000, 25_139_000)
    assert (found.runs, found.run_first_ns, found.mean_ns) == (128, 7_893_000, 7_770_770)
    assert (found.init_bytes, found.overall_bytes) == (88_600_000, 91_200_000)
    assert found.delegate == "GPU delegate, completely"


def test_a_single_run_has_no_mean_of_its_own() -> None:
    first, last = PRINTED.index("count=128"), PRINTED.index("Inference timings")
    found = told(PRINTED[:first] + "count=1 curr=7801\n\n" + PRINTED[last:])
    assert found is not None
    assert (found.runs, found.run_first_ns, found.mean_ns) == (1, 7_801_000, 7_801_000)


def test_an_output_without_a_result_is_none() -> None:
    assert told("STARTING!\nERROR: Failed to load model\n") is None


@pytest.fixture(scope="module")
def program(phone_host: Phone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The double, linked as the phone's own programs are."""
    made = tmp_path_factory.mktemp("double") / "benchmark_model"
    linked = [f"-Wl,--dynamic-linker={LOADER}", f"-Wl,-rpath={LIBRARIES}"]
    subprocess.run(["aarch64-linux-gnu-gcc", "-o", made, DOUBLE, *linked], check=True)
    return made


@pytest.fixture
def device(phone: Phone, program: Path) -> Iterator[AndroidDevice]:
    made = AndroidDevice("pixel", Settings(address=phone.serial, benchmark_model=str(program)))
    yield made
    made.close()


@pytest.mark.hosts
@pytest.mark.slow
class TestOnAPhone:
    def test_it_is_one_more_runtime(self, device: AndroidDevice) -> None:
        assert device.runtimes("onnx") == ["onnxruntime"]
        first, *others = device.runtimes("tflite")
        assert first == "litert"
        assert "benchmark_model-gpu" in others
        assert device.probe("benchmark_model").endswith("/benchmark_model")

    def test_a_round_is_its_first_run_and_the_mean_of_the_others(
        self, device: AndroidDevice, tflite: Path
    ) -> None:
        session = device.open(Job(artifact=tflite, runtime="benchmark_model-gpu"))
        assert session.ready.load_ns == 12_345_000
        assert session.ready.provider == "GPU delegate, completely"
        assert session.measure(1) == [9_000_000]
        assert session.measure(11) == pytest.approx([4_000_000, 3_000_000], rel=1e-5)
        assert session.memory().after_run == 2_250_000
        assert session.ready.unproved

    def test_a_delegate_that_was_not_applied_is_no_result(
        self, device: AndroidDevice, tflite: Path
    ) -> None:
        with pytest.raises(WorkerError, match="did not apply the delegate of --use_nnapi=true"):
            device.open(Job(artifact=tflite, runtime="benchmark_model-nnapi"))

    def test_what_it_cannot_run_is_told_in_its_own_words(
        self, device: AndroidDevice, tmp_path: Path
    ) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty/other.txt").write_text("no model")
        with pytest.raises(WorkerError, match="Failed to load model"):
            device.open(Job(artifact=tmp_path / "empty", runtime="benchmark_model"))

    def test_its_records_say_that_nothing_was_proved(
        self, cli: Cli, phone: Phone, program: Path, tflite: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "devices.toml").write_text(
            f'[devices.pixel]\nkind = "android"\naddress = "{phone.serial}"\n'
            f"benchmark_model = {json.dumps(str(program))}\n"
        )
        done = cli(
            "bench", "run", "--device", "pixel", "--artifact", tflite, "--max-seconds", "0.2",
            "--processes", "1", "--runtime", "benchmark_model-gpu", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 3, done.stderr
        (record,) = read(tmp_path / "results/records.jsonl")
        assert record.failure is None, record.failure
        assert record.proof.verified is None
        assert "shows no outputs" in record.proof.reason
        assert record.settings.runtime_version.startswith("sha256:")
