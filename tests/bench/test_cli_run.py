import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
from PIL import Image

from bench.cli_run import counts, seconds, share
from bench.record import BenchError
from bench.record_file import append, read
from bench.rows import can_run
from bench.verdict import verdict
from export.artifact import GOLDEN, list_files, load, read_manifest, write_manifest
from tests.tiny import tiny_coreml, tiny_onnx

EDGEWORTHY = Path(__file__).resolve().parents[2] / "edgeworthy.py"
QUICK = ("--max-seconds", "1", "--precision-target", "50%", "--processes", "1")


def command(*arguments):
    return [sys.executable, str(EDGEWORTHY), "bench", "run", *map(str, arguments)]


def bench_run(where, *arguments):
    """Run the command in a directory that holds artifacts/; return code, stdout, stderr."""
    done = subprocess.run(
        command(*arguments), cwd=where, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def records(where):
    return list(read(where / "results" / "records.jsonl"))


def assert_measured(where, code):
    """Nothing failed; a machine with other work may make a record noisy, and the code says so."""
    found = [r for r in records(where) if can_run(r)]
    assert [r.failure for r in found if r.failure] == []
    assert code == (0 if {verdict(r).word for r in found} == {"valid"} else 3)


def quieten(where):
    """Write the records again as a quiet machine would have made them: these are not to resume."""
    found = records(where)
    (where / "results" / "records.jsonl").unlink()
    for record in found:
        calm = {"rounds": ((1000,) * 10,) * 12, "usage": (), "surroundings": None, "processes": ()}
        append(where / "results" / "records.jsonl", msgspec.structs.replace(record, **calm))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two artifacts, made once."""
    where = tmp_path_factory.mktemp("made")
    for name in ("tiny", "other"):
        tiny_onnx(where / "artifacts", name=name)
    return where


@pytest.fixture
def here(made, tmp_path):
    shutil.copytree(made / "artifacts", tmp_path / "artifacts")
    return tmp_path


def test_everything_is_measured_on_this_cpu_with_one_thread_and_recorded(here):
    code, out, err = bench_run(here, *QUICK)
    assert_measured(here, code)
    found = records(here)
    assert sorted(r.manifest.network.name for r in found) == ["other", "tiny"]
    for record in found:
        assert record.settings.threads == 1
        assert record.proof.verified is True
        assert record.memory.after_run > record.memory.before_load > 0
        assert record.load_ns > 0
        assert record.first_ns > 0
    assert out.startswith("cpu, 1 thread, batch 1")
    assert all(verdict(record).word in out for record in found)
    assert "random weights" in out
    assert "resident set size" in out
    assert "[2/2]" in err
    assert max(map(len, out.split("p50: median")[0].splitlines())) <= 120


def test_cold_starts_are_a_table_of_their_own(here):
    code, out, _ = bench_run(here, "--artifact", "tiny", *QUICK, "--processes", "6")
    assert_measured(here, code)
    assert "Cold start (warm file cache)" in out
    assert "p50: median over fresh processes" in out
    (record,) = records(here)
    assert len(record.cold) == len(record.processes) >= 6
    assert all(min(c.start_ns, c.import_ns, c.load_ns, c.first_ns) > 0 for c in record.cold)


def test_too_few_processes_are_refused_with_what_to_type(here):
    code, _, err = bench_run(here, "--artifact", "tiny", "--processes", "3")
    assert code == 2
    assert "write --processes 6, or 1 to measure in one process" in err


def test_a_sustained_run_is_a_table_of_its_own(here):
    code, out, _ = bench_run(here, "--artifact", "tiny", *QUICK, "--sustained", "2s")
    assert_measured(here, code)
    (record,) = records(here)
    assert record.sustained.seconds >= 2
    assert "Sustained" in out
    assert "burst: the median of the first ten seconds" in out


def test_json_is_all_there_is_on_stdout(here):
    code, out, _ = bench_run(here, "--json", "--artifact", "tiny", *QUICK)
    assert_measured(here, code)
    (row,) = json.loads(out)
    assert row["model"] == "tiny"
    assert row["verdict"] == verdict(*records(here)).word
    assert row["p50_low_ns"] <= row["p50_ns"] <= row["p50_high_ns"]
    assert row["proved"] is True


def test_threads_and_batch_multiply(here):
    code, out, _ = bench_run(
        here, "--artifact", "tiny", "--threads", "1,2", "--batch", "1,4", *QUICK
    )
    assert_measured(here, code)
    settings = {(r.settings.threads, r.settings.batch) for r in records(here)}
    assert settings == {(1, 1), (1, 4), (2, 1), (2, 4)}
    assert "onnx fp32, 2 threads, batch 4" in out


def test_a_batch_that_a_file_is_not_made_for_is_unmeasured_and_no_fault(here):
    tiny_onnx(here / "artifacts", name="fixed", dynamic_batch=False)
    code, out, _ = bench_run(here, "--batch", "4", *QUICK)
    assert_measured(here, code)
    assert "fixed/onnx-fp32: unmeasured: load: unsupported" in out


def test_a_wrong_answer_exits_1_and_has_no_times(here):
    tiny_onnx(here / "artifacts", name="wrong", wrong=True)
    code, out, _ = bench_run(here, *QUICK)
    assert code == 1
    assert "wrong/onnx-fp32: wrong: output 'logits' has PSNR" in out
    assert [bool(r.rounds) for r in records(here) if r.manifest.network.name == "wrong"] == [False]


def test_a_core_ml_file_is_proved_and_never_timed(here):
    tiny_coreml(here / "artifacts")
    code, out, _ = bench_run(here, *QUICK)
    assert_measured(here, code)
    assert "tiny/coreml-fp32: unmeasured: measure: unsupported: proved (emulated), never" in out
    [record] = [r for r in records(here) if r.manifest.format == "coreml"]
    assert (record.proof.verified, record.proof.emulated) == (True, True)
    assert (record.rounds, record.load_ns, record.first_ns, record.memory) == ((), None, None, None)
    assert bench_run(here, "--artifact", "coreml-fp32", *QUICK)[0] == 3


def test_a_core_ml_file_that_is_wrong_exits_1(here):
    tiny_coreml(here / "artifacts", name="wrong", wrong=True)
    code, out, _ = bench_run(here, "--artifact", "wrong/*", *QUICK)
    assert code == 1
    assert "wrong/coreml-fp32: wrong: output 'logits' has PSNR" in out


def test_resume_measures_only_what_is_missing_and_says_so(here):
    bench_run(here, "--artifact", "tiny", *QUICK)
    quieten(here)
    code, out, err = bench_run(here, "--resume", *QUICK)
    assert_measured(here, code)
    assert "1 already recorded in results/records.jsonl, 1 to measure" in err
    assert {"tiny", "other"} <= set(out.split())
    assert len(records(here)) == 2
    quieten(here)
    _, _, err = bench_run(here, "--resume", *QUICK)
    assert "2 already recorded in results/records.jsonl, 0 to measure" in err


def test_an_interrupt_keeps_what_was_finished_and_leaves_no_worker(here):
    bench_run(here, "--artifact", "tiny", *QUICK)
    before = records(here)
    # A hundred microseconds a run, never known to a hundredth of a nanosecond.
    endless = ("--batch", "512", "--precision-target", "0.00001%", "--max-seconds", "3600")
    child = subprocess.Popen(
        command(*endless), cwd=here, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    workers = workers_of(child.pid, 2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert out == ""
    assert err.strip() == (
        "interrupted; what was finished is in results/records.jsonl: go on with --resume"
    )
    assert records(here) == before
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def workers_of(pid, count):
    """Wait for a process to have `count` children."""
    for _ in range(600):
        if len(found := psutil.Process(pid).children()) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{pid} never had {count} workers")


def test_accuracy_is_measured_where_the_data_fits(here):
    rng = np.random.default_rng(0)
    for label in range(10):
        folder = here / "data" / f"class{label}"
        folder.mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    code, out, _ = bench_run(here, "--data", "data", "--images", "20", *QUICK)
    assert_measured(here, code)
    assert "top-1: on 20 test images of data" in out
    first, second = (record.accuracy for record in records(here))
    assert first == second
    assert first.images == 20


def test_a_model_file_given_twice_is_measured_once(here):
    bare = shutil.copy(here / "artifacts" / "tiny" / "onnx-fp32" / "model.onnx", here / "net.onnx")
    twice = [part for path in ("net.onnx", bare, "*.onnx") for part in ("--artifact", path)]
    _, _, err = bench_run(here, *twice, *QUICK)
    assert len(records(here)) == 1, err


class TestBadInput:
    def refused(self, where, *arguments, code=2):
        found, out, err = bench_run(where, *arguments)
        assert found == code, err
        assert out == ""
        assert not (where / "results" / "records.jsonl").exists()
        return err.strip().splitlines()[-1]

    def test_no_artifacts_at_all(self, tmp_path):
        line = self.refused(tmp_path)
        assert line.startswith("error: no artifacts in artifacts; make some with")

    def test_no_artifact_fits(self, here):
        line = self.refused(here, "--artifact", "tinny")
        assert "fits 'tinny'; did you mean 'tiny'?" in line
        assert "other/onnx-fp32, tiny/onnx-fp32" in line

    def test_a_directory_that_is_not_an_artifact(self, here):
        (here / "folder").mkdir()
        assert "folder is not an artifact" in self.refused(here, "--artifact", "folder")

    def test_a_newer_manifest(self, here):
        path = here / "artifacts" / "tiny" / "onnx-fp32"
        write_manifest(path, msgspec.structs.replace(load(path), schema=99))
        assert "written by a newer edgeworthy" in self.refused(here)

    def test_a_changed_byte(self, here):
        path = here / "artifacts" / "tiny" / "onnx-fp32" / "model.onnx"
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
        assert "does not match the sha256 in its manifest" in self.refused(here)

    def test_a_truncated_file(self, here):
        path = here / "artifacts" / "tiny" / "onnx-fp32" / "model.onnx"
        path.write_bytes(path.read_bytes()[:100])
        assert "has 100 bytes, its manifest says" in self.refused(here)

    def test_an_unknown_device(self, here):
        line = self.refused(here, "--device", "pixel", code=3)
        assert line.startswith("error: no device named 'pixel'")
        assert "edgeworthy devices add" in line

    def test_an_unknown_runtime(self, here):
        line = self.refused(here, "--runtime", "onnxruntme")
        assert "did you mean 'onnxruntime'?" in line

    @pytest.mark.parametrize("threads", ["0", "two", "1,,2", "-1", "1.5"])
    def test_a_bad_list_of_threads(self, here, threads):
        line = self.refused(here, f"--threads={threads}")
        assert "is not a whole number from 1 up" in line

    @pytest.mark.parametrize("target", ["2", "0", "tight", "100%", "nan"])
    def test_a_bad_precision_target(self, here, target):
        assert "write it as 2% or 0.02" in self.refused(here, "--precision-target", target)

    def test_an_output_that_cannot_be_written(self, here):
        line = self.refused(here, "--out", "artifacts/tiny/onnx-fp32/model.onnx/records.jsonl")
        assert "choose another file with --out FILE" in line

    def test_images_without_data(self, here):
        assert "add --data DIR" in self.refused(here, "--images", "10")

    def test_data_that_is_not_there(self, here):
        assert "fashion-mnist" in self.refused(here, "--data", "fashion-mnst")

    def test_a_damaged_record_file_on_resume(self, here):
        (here / "r.jsonl").write_text("{}\n")
        assert "r.jsonl:1 is not a record" in self.refused(here, "--resume", "--out", "r.jsonl")


def test_a_golden_file_that_is_damaged_is_a_failure_record(here):
    """Damaged before its hash was taken, so that only reading it can tell."""
    path = here / "artifacts" / "tiny" / "onnx-fp32"
    (path / GOLDEN).write_bytes(b"not an archive")
    write_manifest(path, msgspec.structs.replace(read_manifest(path), files=list_files(path)))
    code, out, _ = bench_run(here, *QUICK)
    assert code == 3
    assert "tiny/onnx-fp32: failed:" in out
    assert {bool(r.failure) for r in records(here)} == {True, False}


def test_records_go_on_after_a_torn_line(here):
    bench_run(here, "--artifact", "tiny", *QUICK)
    path = here / "results" / "records.jsonl"
    with path.open("ab") as stream:
        stream.write(b'{"schema": 1, "run"')
    assert_measured(here, bench_run(here, "--resume", *QUICK)[0])
    assert len(records(here)) == 2
    append(path, records(here)[0])
    assert len(records(here)) == 3


def test_help_is_quick_to_import():
    code = (
        "import sys; import bench.cli_run; "
        "heavy = {'torch', 'numpy', 'onnxruntime', 'rich', 'msgspec'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=EDGEWORTHY.parent, check=False)
    assert done.returncode == 0


def test_lists_of_numbers():
    assert counts("--threads", "1, 2,2,4") == (1, 2, 4)
    with pytest.raises(BenchError, match="--batch 0: '0'"):
        counts("--batch", "0")


def test_shares():
    assert share("2%") == share("0.02") == share(" 2 %")
    with pytest.raises(BenchError):
        share("-1%")


def test_times():
    assert [seconds(t) for t in ("30s", "10m", "1h", " 1.5 m ")] == [30, 600, 3600, 90]
    for wrong in ("10", "m", "0s", "ten minutes", "-5s"):
        with pytest.raises(BenchError, match="write it as 30s, 10m or 1h"):
            seconds(wrong)
