"""``bench tradeoff`` as a user types it."""

import json

import pytest
from click.testing import CliRunner

from bench.cli import command
from tests.bench.clouds import clouded, link
from tests.bench.factory import manifest, record, save_records

SMALL = manifest("mobilenet", size=4_000_000, precision="int8")
LARGE = manifest("vgg16", size=500_000_000, format="onnx")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    save_records(tmp_path / "results/records.jsonl", record(SMALL, 20.0, top1=0.9))
    save_records(tmp_path / "cloud.jsonl", clouded(LARGE, link("4g"), compute=1.0, top1=0.94))
    return tmp_path


def typed(*arguments):
    result = CliRunner().invoke(command, ["tradeoff", *arguments])
    return result.exit_code, result.stdout, result.stderr


BOTH = ("--records", "results/records.jsonl", "--records", "cloud.jsonl")


def test_it_recommends_and_says_why(here):
    code, out, err = typed(*BOTH, "--budget", "latency=50ms,size=5MB,accuracy=89%")
    assert (code, err) == (0, "")
    assert "fashion-mnist over 4g: edge: mobilenet/tflite-int8 on cpu, 20.0 ms" in out
    assert "latency 140 ms, above 50ms" in out or "above 50ms" in out
    tables = out[out.index("latency and accuracy") : out.index("\nnotes")]
    assert max(map(len, tables.splitlines())) <= 120


def test_json_is_all_there_is_on_stdout_and_markdown_goes_to_its_file(here):
    code, out, _ = typed(*BOTH, "--json", "--per-day", "10", "--markdown", "it.md")
    assert code == 0
    data = json.loads(out)
    assert data["terms"]["per_day"] == 10
    assert (here / "it.md").read_text().startswith("## Edge or cloud")


def test_nothing_within_the_budget_exits_1_with_the_nearest(here):
    code, out, err = typed("--budget", "size=1MB")
    assert code == 1
    assert err == (
        "error: nothing meets the budget: mobilenet/tflite-int8 on cpu: size 4.00 MB, above 1MB\n"
    )
    assert "ranking" in out


def test_the_exit_code_of_an_interval_around_a_limit_is_3(here):
    save_records(here / "loud.jsonl", record(SMALL, 20.0, spread=0.2))
    assert typed("--records", "loud.jsonl", "--budget", "latency=20ms")[0] == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--budget", "latencey=5ms"), "did you mean 'latency'"),
        (("--network", "4g"), "no server was measured"),
        ((*BOTH, "--network", "5g"), "did you mean '4g'"),
        (("--records", "none.jsonl"), "none.jsonl"),
        (("--per-day", "0"), "--per-day"),
    ],
)
def test_wrong_input_is_one_clear_line(here, arguments, says):
    from edgeworthy import main

    code, out, err = run(main, "bench", "tradeoff", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_records_of_a_later_schema_are_refused_by_file_and_line(here):
    line = (here / "cloud.jsonl").read_text()
    (here / "cloud.jsonl").write_text(line + line.replace('"schema":1', '"schema":99', 1))
    from edgeworthy import main

    code, _, err = run(main, "bench", "tradeoff", *BOTH)
    assert code == 2
    assert "cloud.jsonl:2 has schema 99" in err


def test_without_any_record_it_says_what_to_type(here):
    (here / "results/records.jsonl").unlink()
    from edgeworthy import main

    code, _, err = run(main, "bench", "tradeoff")
    assert code == 2
    assert "make some with 'bench run'" in err
