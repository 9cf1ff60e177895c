"""``bench tradeoff`` as a user types it."""

import json

import pytest

from export.artifact import Weights
from tests.bench.clouds import clouded, link
from tests.bench.factory import manifest, record, save_records

SMALL = manifest("mobilenet", size=4_000_000, precision="int8")
LARGE = manifest("vgg16", size=500_000_000, format="onnx")
BOTH = ("--records", "results/records.jsonl", "--records", "cloud.jsonl")


@pytest.fixture
def here(tmp_path):
    (tmp_path / "results").mkdir()
    save_records(tmp_path / "results/records.jsonl", record(SMALL, 20.0, top1=0.9))
    save_records(tmp_path / "cloud.jsonl", clouded(LARGE, link("4g"), compute=1.0, top1=0.94))
    return tmp_path


@pytest.fixture
def typed(cli, here):
    """Run ``bench tradeoff ARGUMENTS`` beside records of an edge and a cloud."""

    def run(*arguments):
        return cli("bench", "tradeoff", *arguments, cwd=here)

    return run


def test_it_recommends_and_says_why(typed):
    result = typed(*BOTH, "--budget", "latency=50ms,size=5MB,accuracy=87%")
    assert (result.returncode, result.stderr) == (0, "")
    out = result.stdout
    assert "fashion-mnist over 4g: edge: mobilenet/tflite-int8 on cpu" in out
    assert "above 50ms" in out
    tables = out[out.index("latency and accuracy") : out.index("\nnotes")]
    assert max(map(len, tables.splitlines())) <= 120


def test_json_is_all_there_is_on_stdout_and_markdown_goes_to_its_file(typed, here):
    result = typed(*BOTH, "--json", "--per-day", "10", "--markdown", "it.md")
    assert result.returncode == 0
    assert json.loads(result.stdout)["terms"]["per_day"] == 10
    assert (here / "it.md").read_text().startswith("## Edge or cloud")


def test_nothing_within_the_budget_exits_1_with_the_nearest(typed):
    result = typed("--budget", "size=1MB")
    assert result.returncode == 1
    assert result.stderr == (
        "error: nothing meets the budget: mobilenet/tflite-int8 on cpu: size 4.00 MB, above 1MB\n"
    )
    assert "ranking" in result.stdout


def test_the_exit_code_of_an_interval_around_a_limit_is_3(typed, here):
    save_records(here / "loud.jsonl", record(SMALL, 20.0, spread=0.2))
    assert typed("--records", "loud.jsonl", "--budget", "latency=20ms").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--budget", "latencey=5ms"), "did you mean 'latency'"),
        (("--network", "4g"), "no server was measured"),
        ((*BOTH, "--network", "5g"), "did you mean '4g'"),
        (("--records", "none.jsonl"), "none.jsonl"),
        (("--per-day", "0"), "--per-day"),
        (("--price-per-gb", "nan"), "'--price-per-gb': nan is no number"),
        (("--server-price-per-hour", "inf"), "'--server-price-per-hour': inf is no number"),
    ],
)
def test_wrong_input_is_one_clear_line_and_exit_2(typed, arguments, says):
    result = typed(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


OTHER = manifest("lenet5", weights=Weights(origin="trained", dataset="cifar10"))
EMULATED = record(SMALL, 1.0, device="board", emulated=True)


@pytest.mark.parametrize(
    ("records", "code", "says"),
    [
        ([record(SMALL, 20.0)], 3, "no server was measured: start one with 'edgeworthy devices"),
        ([clouded(LARGE, link("4g"))], 3, "nothing was measured on a device: type 'bench run'"),
        ([EMULATED], 3, "on board: emulated"),
        (
            [record(SMALL, 20.0, top1=0.9), clouded(OTHER, link("4g"))],
            2,
            "no task in common (edge: fashion",
        ),
        ([], 2, "make some with 'bench run'"),
    ],
)
def test_what_cannot_be_weighed_is_one_line_with_what_to_type(typed, here, records, code, says):
    (here / "these.jsonl").touch()
    save_records(here / "these.jsonl", *records)
    result = typed("--records", "these.jsonl")
    assert result.returncode == code
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_records_of_a_later_schema_are_refused_by_file_and_line(typed, here):
    line = (here / "cloud.jsonl").read_text()
    (here / "cloud.jsonl").write_text(line + line.replace('"schema":1', '"schema":99', 1))
    result = typed(*BOTH)
    assert result.returncode == 2
    assert "cloud.jsonl:2 has schema 99" in result.stderr


def test_without_any_record_it_says_what_to_type(typed, here):
    (here / "results/records.jsonl").unlink()
    result = typed()
    assert result.returncode == 2
    assert "make some with 'bench run'" in result.stderr
