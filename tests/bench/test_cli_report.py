"""``bench report --html``, ``--charts`` and ``--csv``: the files, and what is said of them."""

import pytest

from bench.record_file import append
from export.artifact import Weights
from tests.bench.clouds import clouded, link
from tests.bench.factory import manifest, record, save_artifact, save_records
from tests.bench.profiles import stored

HEAVY = ("altair", "jinja2", "vl_convert")


@pytest.fixture
def bench(cli, tmp_path):
    def run(*arguments, **env):
        return cli("bench", "report", *arguments, cwd=tmp_path, env=env)

    return run


@pytest.fixture
def measured(tmp_path):
    """One artifact, and its record."""
    net = save_artifact(tmp_path / "artifacts", manifest(size=1000))
    (tmp_path / "results").mkdir()
    save_records(tmp_path / "results" / "records.jsonl", record(net))
    return net


def test_page_pictures_and_figures_are_written_beside_the_tables(bench, measured, tmp_path):
    result = bench("--html", "new/report.html", "--charts", "charts", "--csv", "figures.csv")
    assert result.returncode == 0
    assert "Contrast of networks" in result.stdout
    assert (tmp_path / "new/report.html").read_text().startswith("<!doctype html>")
    pictures = {path.name for path in (tmp_path / "charts").iterdir()}
    assert {"size.svg", "size.png"} <= pictures
    assert (tmp_path / "figures.csv").read_text().startswith("key,model,")
    said = [f"wrote {len(pictures)} pictures to charts", "wrote new/report.html"]
    assert sorted(result.stderr.splitlines()) == said


def test_several_files_and_profiles_make_one_page(bench, measured, tmp_path):
    far = clouded(measured, link("4g"), request=20_000)
    save_records(tmp_path / "cloud.jsonl", far)
    append(tmp_path / "p.jsonl", stored(measured))
    both = ("--records", "results/records.jsonl", "--records", "cloud.jsonl")
    result = bench(*both, "--profiles", "p.jsonl", "--html", "r.html", "--charts", "charts")
    assert result.returncode == 0
    assert "Time by kind of operator" in result.stdout
    pictures = {path.name for path in (tmp_path / "charts").iterdir()}
    assert {"map-net-net.svg", "shares.png", "roofline-net.svg"} <= pictures
    assert 'id="decision"' in (tmp_path / "r.html").read_text()


def test_sides_without_a_common_task_are_not_weighed_and_that_is_said(bench, measured, tmp_path):
    other = manifest("vgg16", weights=Weights(origin="trained", dataset="cifar10"))
    save_records(tmp_path / "results" / "records.jsonl", clouded(other, link("4g")))
    result = bench("--html", "r.html")
    assert result.returncode == 0
    assert (
        "device and cloud are not weighed: edge and cloud have no task in common" in result.stderr
    )
    assert 'id="decision"' not in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("line", "says"),
    [('{"schema":99}', "p.jsonl:1 has schema 99"), ("{}", "p.jsonl:1 is not a profile")],
)
def test_profiles_that_cannot_be_read_are_one_line(bench, measured, tmp_path, line, says):
    (tmp_path / "p.jsonl").write_text(f"{line}\n")
    result = bench("--profiles", "p.jsonl", "--html", "r.html")
    assert result.returncode == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "r.html").exists()


def test_json_on_standard_output_stays_json(bench, measured):
    result = bench("--html", "report.html", "--json")
    assert result.stdout.startswith("{")
    assert '"source": "net/tflite-fp32"' in result.stdout
    assert '"source": "net tflite-fp32 cpu onnxruntime 1 1"' in result.stdout


def test_a_page_needs_no_records(bench, tmp_path):
    save_artifact(tmp_path / "artifacts", manifest(size=1000))
    assert bench("--html", "report.html").returncode == 0
    assert "unmeasured" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", HEAVY)
@pytest.mark.parametrize("option", [("--html", "report.html"), ("--charts", "charts")])
def test_what_draws_is_named_where_it_is_not_installed(bench, measured, tmp_path, name, option):
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text(f"import sys; sys.modules[{name!r}] = None")
    result = bench(*option, PYTHONPATH=str(without))
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"error: {option[0]} needs {name}, which is not here: pip install 'edgeworthy[report]'"
    ]
    assert not (tmp_path / option[1]).exists()


def test_without_a_page_nothing_that_draws_is_loaded(bench, measured):
    result = bench(PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    loaded = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert not loaded & {*HEAVY, "torch"}


@pytest.mark.parametrize("option", ["--html", "--charts", "--csv"])
def test_a_place_that_cannot_be_written_to_is_one_line(bench, measured, tmp_path, option):
    (tmp_path / "file").touch()
    result = bench(option, "file/below")
    assert result.returncode == 2
    assert "cannot write" in result.stderr
    assert len(result.stderr.splitlines()) == 1
