"""The command as a user starts it: a real worker, a real profiler."""

import csv
import io
import json
import shutil

import pytest

from bench.stored_profile import latest, read
from export.artifact import MODEL_FILES
from tests import tiny
from tests.conftest import ROOT

FIGURES = {"gflops", "gbytes_per_s", "macs_per_byte", "bound", "share", "ns", "macs", "bytes"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    where = tmp_path_factory.mktemp("made")
    tiny.tiny_onnx(where / "artifacts")
    return where


@pytest.fixture
def profile(cli, made):
    """Run ``bench profile`` beside the artifacts; return code, stdout, stderr."""

    def run(*arguments, cwd=made):
        done = cli("bench", "profile", *arguments, cwd=cwd, env={"PYTHONPATH": str(ROOT)})
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def test_it_says_where_the_time_goes_and_against_which_peaks(profile):
    code, out, _ = profile("tiny/onnx-fp32")
    assert code == 0
    assert out.startswith("tiny/onnx-fp32: onnxruntime ")
    tables = out.split("measured peak (numpy matmul / copy), as many threads: ")[0].splitlines()
    assert max(map(len, tables)) <= 80
    assert any(line.startswith("full convolution (1)  1.30 k") for line in tables)
    assert any(line.startswith("linear (1)                40") for line in tables)
    assert "no latency, as profiling slows" in out
    assert "overhead " in out


def test_json_and_csv_have_all_operators(profile):
    code, out, _ = profile("tiny", "--json")
    data = json.loads(out)
    assert code == 0
    assert data["unprofiled_ns"] > 0
    assert sum(row["macs"] for row in data["operators"]) == 6 * 6 * 4 * 9 + 4 * tiny.CLASSES
    code, out, _ = profile("tiny", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["operator"] for row in rows] == [row["operator"] for row in data["operators"]]
    assert rows[0].keys() >= FIGURES


def test_a_trace_and_a_picture_are_written_beside(profile, tmp_path):
    trace, chart = tmp_path / "new" / "trace.json", tmp_path / "roofline.svg"
    code, out, err = profile("tiny", "--trace", trace, "--chart", chart)
    assert code == 0
    assert "ui.perfetto.dev" in err
    events = json.loads(trace.read_text())["traceEvents"]
    assert {"name", "ph", "ts", "dur", "args"} <= events[1].keys()
    runs = {event["args"]["run"] for event in events[1:]}
    assert len(runs) == int(out.split(" runs")[0].rpartition(" ")[2])
    assert chart.read_text().startswith("<svg")


def test_a_bare_file_is_profiled_too(profile, made, tmp_path):
    shutil.copy(
        made / "artifacts" / "tiny" / "onnx-fp32" / MODEL_FILES["onnx"], tmp_path / "f.onnx"
    )
    code, out, _ = profile("f.onnx", cwd=tmp_path)
    assert code == 0
    assert "full convolution (1)" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.onnx", "results"]


def test_it_is_kept_for_the_report(profile, tmp_path):
    tiny.tiny_onnx(tmp_path / "artifacts")
    for _ in range(2):
        code, _, err = profile("tiny", "--out", "new/p.jsonl", cwd=tmp_path)
        assert code == 0
        assert "kept in new/p.jsonl: 'bench report --html' draws it" in err
    first, second = read(tmp_path / "new" / "p.jsonl")
    assert first.key == second.key
    assert first.proof.verified
    assert first.profile.by_kind().keys() >= {"full convolution", "linear"}
    assert latest([first, second]) == [second]


def test_where_it_cannot_be_kept_nothing_is_profiled(profile, tmp_path):
    tiny.tiny_onnx(tmp_path / "artifacts")
    (tmp_path / "file").touch()
    code, out, err = profile("tiny", "--out", "file/below", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("error: cannot write records to file/below")


@pytest.mark.slow
def test_a_runtime_without_a_profile_is_refused_by_name(profile, tmp_path):
    tiny.tiny_tflite(tmp_path / "artifacts")
    code, out, err = profile("tiny", "--trace", "t.json", cwd=tmp_path)
    assert (code, out) == (3, "")
    assert "unsupported: ai_edge_litert" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "t.json").exists()


@pytest.mark.slow
def test_an_interpreter_is_refused_by_name(profile, tmp_path):
    tiny.tiny_coreml(tmp_path / "artifacts")
    code, out, err = profile("tiny", cwd=tmp_path)
    assert (code, out) == (3, "")
    assert "coreml-reference interprets the file" in err


def test_a_wrong_answer_has_no_profile(profile, tmp_path):
    tiny.tiny_onnx(tmp_path / "artifacts", wrong=True)
    code, out, err = profile("tiny", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert "wrong answer, so its times mean nothing" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tinny",), "did you mean 'tiny'?"),
        (("tiny", "--chart", "roof.bmp"), "a picture ends in .svg or .png"),
        (("tiny", "--runtime", "onnxruntim"), "did you mean 'onnxruntime'?"),
        (("tiny", "--threads", "0"), "--threads"),
        ((), "Missing argument 'ARTIFACT'"),
    ],
)
def test_wrong_usage_is_one_line(profile, arguments, says):
    code, out, err = profile(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_one_artifact_is_profiled_at_a_time(profile, tmp_path):
    for name in ("a", "b"):
        tiny.tiny_onnx(tmp_path / "artifacts", name=name)
    code, _, err = profile("onnx-fp32", cwd=tmp_path)
    assert code == 2
    assert "2 artifacts fit; profile one of a/onnx-fp32, b/onnx-fp32" in err
