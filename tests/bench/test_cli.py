import json

import pytest
from msgspec.structs import replace

from tests.bench.factory import manifest, record, save_artifact, save_records, unproved

BUDGETS = """
[[budget]]
artifact = "net/*"
max-size = "2 kB"
max-size-growth = "1%"
max-latency-growth = "10%"
contract = "unchanged"
"""
HEAVY = {"torch", "numpy", "rich", "onnx", "onnxruntime", "ai_edge_litert", "coremltools"}


def imported(result):
    """Return the modules that a process with an import trace on stderr imported."""
    return {line.split("|")[-1].strip() for line in result.stderr.splitlines()}


@pytest.fixture
def bench(cli, tmp_path):
    """Run ``bench ARGUMENTS`` in a directory of its own."""

    def run(*arguments):
        return cli("bench", *arguments, cwd=tmp_path)

    return run


@pytest.fixture
def net(tmp_path):
    """An artifact of 1,000 bytes in `artifacts`, and budgets for it."""
    (tmp_path / "edgeworthy.toml").write_text(BUDGETS)
    return save_artifact(tmp_path / "artifacts", manifest(size=1000))


def records_in(tmp_path, *records, file="results/records.jsonl"):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    return save_records(tmp_path / file, *records)


def is_one_line(result):
    lines = result.stderr.splitlines()
    return len(lines) == 1 and lines[0].startswith("error: ") and "Traceback" not in result.stderr


class TestCheck:
    def test_unchanged_figures_pass(self, bench, net, tmp_path):
        path = records_in(tmp_path, record(net))
        assert bench("baseline", "--records", path).returncode == 0
        result = bench("check")
        assert result.stdout.splitlines()[-1] == "4 pass, 0 fail, 0 unmeasured"
        assert (result.returncode, result.stderr) == (0, "")

    def test_a_slower_record_fails(self, bench, net, tmp_path):
        path = records_in(tmp_path, record(net, 4.0))
        bench("baseline", "--records", path)
        records_in(tmp_path, record(net, 5.0, seed=1))
        result = bench("check")
        assert result.returncode == 1
        (failed,) = [line for line in result.stdout.splitlines() if line.startswith("fail")]
        assert "max-latency-growth 10%" in failed
        assert "against 4.00 ms" in failed or "against 3.99 ms" in failed

    def test_a_larger_file_fails_and_a_changed_contract_is_named(self, bench, net, tmp_path):
        bench("baseline")
        image = replace(net.contract.inputs[0], name="picture")
        changed = replace(net, size_bytes=1500, contract=replace(net.contract, inputs=(image,)))
        save_artifact(tmp_path / "artifacts", changed)
        result = bench("check", "--only", "size,contract")
        assert result.returncode == 1
        assert "1.50 kB against 1.00 kB (+50.0 %)" in result.stdout
        assert "input picture: none became float32" in result.stdout

    def test_without_records_it_is_unmeasured_and_exit_3(self, bench, net):
        bench("baseline")
        result = bench("check")
        assert result.returncode == 3
        assert "unmeasured  max-latency-growth 10%" in result.stdout

    def test_size_alone_needs_no_heavy_library(self, cli, bench, net, tmp_path):
        bench("baseline")
        trace = {"PYTHONPROFILEIMPORTTIME": "1"}
        result = cli("bench", "check", "--only", "size", cwd=tmp_path, env=trace)
        assert result.stdout.splitlines()[-1] == "2 pass, 0 fail, 0 unmeasured"
        assert not imported(result) & HEAVY

    def test_growth_without_a_baseline_fails_with_what_to_type(self, bench, net):
        result = bench("check", "--only", "size")
        assert result.returncode == 1
        assert "bench baseline" in result.stdout

    def test_an_artifact_that_is_gone_fails(self, bench, net, tmp_path):
        bench("baseline")
        (tmp_path / "artifacts/net/tflite-fp32/manifest.json").unlink()
        result = bench("check", "--only", "size")
        assert result.returncode == 1
        assert "is gone" in result.stdout

    def test_no_budgets_fail(self, bench, tmp_path):
        save_artifact(tmp_path / "artifacts", manifest(size=1000))
        result = bench("check")
        assert result.returncode == 1
        assert "[[tool.edgeworthy.budget]]" in result.stdout

    def test_a_stale_manifest_cannot_pass(self, bench, net, tmp_path):
        bench("baseline")
        model = tmp_path / "artifacts/net/tflite-fp32/model.tflite"
        for content, reason in ((b"\0" * 999, "truncated"), (b"\1" * 1000, "sha256")):
            model.write_bytes(content)
            result = bench("check", "--only", "size")
            assert (result.returncode, is_one_line(result)) == (2, True)
            assert reason in result.stderr

    def test_a_record_of_another_file_does_not_count(self, bench, net, tmp_path):
        bench("baseline", "--records", records_in(tmp_path, record(net)))
        save_artifact(tmp_path / "artifacts", net, fill=b"\1")
        result = bench("check", "--only", "latency")
        assert result.returncode == 3
        assert "of another file" in result.stdout

    def test_json_carries_the_figures(self, bench, net):
        bench("baseline")
        result = bench("check", "--only", "size", "--json")
        first = json.loads(result.stdout)[0]
        assert (first["rule"], first["limit"], first["subject"]) == (
            "max-size",
            "2 kB",
            "net/tflite-fp32",
        )
        assert (first["verdict"], first["measured"], first["unit"]) == ("pass", 1000, "B")

    def test_markdown_is_written_as_well(self, bench, net, tmp_path):
        bench("baseline")
        result = bench("check", "--only", "size", "--markdown", "out/check.md")
        text = (tmp_path / "out/check.md").read_text()
        assert "| pass | max-size 2 kB | net/tflite-fp32 | 1.00 kB |" in text
        assert "max-size 2 kB" in result.stdout

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--only", "sise"), "did you mean 'size'"),
            (("--config", "none.toml"), "--config FILE"),
            (("--baseline", "none.json"), "there is no baseline none.json"),
            (("--records", "none.jsonl"), "'none.jsonl' does not exist"),
            (("--artifacts-dir", "none"), "none is not a directory"),
            (("--only", "size", "--markdown", "edgeworthy.toml/x.md"), "cannot write"),
        ],
    )
    def test_wrong_input_is_one_line_and_exit_2(self, bench, net, arguments, message):
        result = bench("check", *arguments)
        assert result.returncode == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr

    def test_wrong_budgets_are_one_line_and_exit_2(self, bench, tmp_path):
        (tmp_path / "edgeworthy.toml").write_text("[[budget]]\nmax-sise = 3\n")
        result = bench("check")
        assert (result.returncode, is_one_line(result)) == (2, True)
        assert "did you mean 'max-size'" in result.stderr

    def test_two_artifacts_of_one_key_are_refused(self, bench, net, tmp_path):
        artifacts = tmp_path / "artifacts"
        (artifacts / "net").rename(artifacts / "copy")
        save_artifact(artifacts, net)
        result = bench("check")
        assert (result.returncode, is_one_line(result)) == (2, True)
        assert "are both net/tflite-fp32" in result.stderr


class TestBaseline:
    def test_it_says_what_it_wrote_and_what_it_left_out(self, bench, net, tmp_path):
        doubtful = record(net, proof=unproved(), threads=4)
        path = records_in(tmp_path, record(net), doubtful)
        result = bench("baseline", "--records", path)
        assert result.stderr.splitlines() == [
            "left out net/tflite-fp32 cpu onnxruntime threads=4 batch=1: unproved",
            "wrote edgeworthy-baseline.json: 1 artifacts, 1 measurements",
        ]

    def test_dropped_measurements_are_said(self, bench, net, tmp_path):
        bench("baseline", "--records", records_in(tmp_path, record(net)))
        assert "1 measurements of the old one dropped" in bench("baseline").stderr

    def test_update_keeps_the_rest(self, bench, net, tmp_path):
        bench("baseline", "--records", records_in(tmp_path, record(net)))
        save_artifact(tmp_path / "artifacts", manifest("other", size=7))
        assert bench("baseline", "--update", "other").returncode == 0
        held = json.loads((tmp_path / "edgeworthy-baseline.json").read_text())
        assert [*held["artifacts"]] == ["net/tflite-fp32", "other/tflite-fp32"]
        assert len(held["measurements"]) == 1

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--update", "*"), "there is no edgeworthy-baseline.json to update"),
            (("--records", "none.jsonl"), "'none.jsonl' does not exist"),
            (("--out", "edgeworthy.toml/x"), "Not a directory"),
        ],
    )
    def test_what_cannot_be_written_is_one_line_and_exit_2(self, bench, net, arguments, message):
        result = bench("baseline", *arguments)
        assert (result.returncode, is_one_line(result)) == (2, True)
        assert message in result.stderr

    def test_nothing_to_write_is_an_error(self, bench):
        result = bench("baseline")
        assert (result.returncode, "edgeworthy export" in result.stderr) == (2, True)


class TestCompare:
    def test_before_and_after(self, bench, net, tmp_path):
        before = records_in(tmp_path, record(net, 4.0), file="before.jsonl")
        after = records_in(tmp_path, record(net, 8.0, seed=1), file="after.jsonl")
        result = bench("compare", before, after)
        assert (result.returncode, "slower" in result.stdout) == (0, True)
        (pair,) = json.loads(bench("compare", before, after, "--json").stdout)["pairs"]
        assert pair["word"] == "slower"
        assert pair["time"]["low"] < 2.0 < pair["time"]["high"]

    def test_two_artifacts_of_one_file(self, bench, net, tmp_path):
        quick = record(manifest(precision="int8"), 2.0)
        path = records_in(tmp_path, record(net, 4.0), quick)
        result = bench("compare", path, "--a", "tflite-fp32", "--b", "tflite-int8")
        assert (result.returncode, "faster" in result.stdout) == (0, True)

    def test_incomparable_records_are_refused_by_name(self, bench, net, tmp_path):
        path = records_in(tmp_path, record(net), file="a")
        other = records_in(tmp_path, record(net, threads=4), file="b")
        result = bench("compare", path, other)
        assert result.returncode == 1
        assert "threads: 1 and 4 (refused" in result.stdout
        assert is_one_line(result)
        anyway = bench("compare", path, other, "--anyway")
        assert anyway.returncode == 0
        assert "threads: 1 and 4 (compared anyway)" in anyway.stdout

    def test_what_failed_is_listed(self, bench, net, tmp_path):
        path = records_in(tmp_path, record(net), record(net, threads=2, count=0), file="a")
        result = bench("compare", path, path)
        assert "failed in B: net/tflite-fp32 cpu onnxruntime threads=2 batch=1" in result.stdout

    def test_no_partner_is_nothing_to_compare(self, bench, net, tmp_path):
        path = records_in(tmp_path, record(net), file="a")
        other = records_in(tmp_path, record(manifest("other")), file="b")
        result = bench("compare", path, other)
        assert (result.returncode, result.stdout, is_one_line(result)) == (1, "", True)
        assert "net/tflite-fp32" in result.stderr
        assert "other/tflite-fp32" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "Missing argument"),
            (("a",), "give two files"),
            (("a", "a", "a"), "two files are compared, not 3"),
            (("a", "a", "--a", "*"), "give two files"),
            (("a", "none"), "cannot read none"),
            (("a", "edgeworthy.toml"), "edgeworthy.toml:2 is not a record"),
            (("a", "a", "--margin", "2"), "has no unit"),
            (("a", "--a", "net", "--b", "*"), "fits both"),
        ],
    )
    def test_wrong_usage_is_exit_2(self, bench, net, tmp_path, arguments, message):
        records_in(tmp_path, record(net), file="a")
        result = bench("compare", *arguments)
        assert result.returncode == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr


class TestReport:
    def test_terminal_markdown_and_json_say_the_same(self, bench, net, tmp_path):
        records_in(tmp_path, record(net))
        plain = bench("report", "--markdown", "report.md")
        data = json.loads(bench("report", "--json").stdout)
        assert plain.returncode == 0
        text = (tmp_path / "report.md").read_text()
        for title in [t["title"] for t in data["tables"]]:
            assert title in plain.stdout
            assert f"### {title}" in text

    def test_artifacts_without_records_are_unmeasured(self, bench, net):
        assert "unmeasured" in bench("report").stdout

    def test_records_without_artifacts_will_do(self, bench, tmp_path):
        records_in(tmp_path, record())
        assert "known from records only" in bench("report").stdout

    def test_nothing_at_all_is_an_error(self, bench):
        result = bench("report")
        assert (result.returncode, is_one_line(result)) == (2, True)


@pytest.mark.parametrize("name", ["", "run", "compare", "baseline", "check", "report"])
def test_help_answers_without_a_heavy_import(cli, name):
    result = cli("bench", *name.split(), "--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.returncode == 0
    assert not imported(result) & HEAVY


@pytest.mark.slow
def test_ten_thousand_records_are_read_keeping_only_the_latest(cli, net, tmp_path):
    line = records_in(tmp_path, record(net, count=50)).read_bytes()
    (tmp_path / "many").write_bytes(line * 10_000)
    assert cli("bench", "compare", "many", "many", cwd=tmp_path).returncode == 0
