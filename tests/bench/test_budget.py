from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.budget import LIMITS, UNITS, find, quantity, read
from bench.record import BenchError

PYPROJECT = """
[project]
name = "app"

[tool.edgeworthy]
baseline = "base.json"

[[tool.edgeworthy.budget]]
artifact = "mobilenet*/tflite-int8"
max-size = "1.2 MB"
max-latency-growth = "10%"

[[tool.edgeworthy.budget]]
device = "cpu"
contract = "unchanged"
"""


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("1.2 MB", "bytes", 1_200_000),
        ("1.5 MiB", "bytes", 1_572_864),
        ("3kB", "bytes", 3000),
        ("100 B", "bytes", 100),
        ("5 ms", "time", 5e6),
        (".5 s", "time", 5e8),
        ("7us", "time", 7000),
        ("10%", "share", 0.1),
        ("0.5", "points", 0.005),
        (0.5, "points", 0.005),
        ("2 points", "points", 0.02),
    ],
)
def test_a_quantity_is_read_in_its_base_unit(text, unit, expected):
    assert quantity(text, unit, "example") == pytest.approx(expected)


@given(
    number=st.decimals(min_value=0, max_value=10**6, places=3),
    unit_of=st.sampled_from([(unit, name) for unit, names in UNITS.items() for name in names]),
    space=st.sampled_from(["", " ", "  "]),
)
def test_every_number_with_every_unit_is_number_times_unit(number, unit_of, space):
    unit, name = unit_of
    assert quantity(f"{number}{space}{name}", unit, "") == pytest.approx(
        float(number) * UNITS[unit][name]
    )


@given(text=st.text(max_size=12), unit=st.sampled_from(sorted(UNITS)))
def test_a_quantity_is_a_number_from_zero_up_or_an_error_with_an_example(text, unit):
    message = "the example"
    value = 0.0
    try:
        value = quantity(text, unit, "the example")
    except ValueError as error:
        message = str(error)
    assert value >= 0
    assert "the example" in message


@pytest.mark.parametrize("value", ["", "MB", "-1 MB", "1e3 MB", "1,2 MB", True, None, ["1 MB"]])
def test_what_is_not_a_number_with_a_unit_is_refused(value):
    with pytest.raises(ValueError, match=r"1\.2 MB"):
        quantity(value, "bytes", "1.2 MB")


def test_a_number_without_a_needed_unit_names_the_units_there_are():
    with pytest.raises(ValueError, match="has no unit; use one of ns, us, ms, s"):
        quantity(5, "time", "5 ms")


def test_an_unknown_unit_is_named():
    with pytest.raises(ValueError, match=r"unknown unit 'KB'.*kB"):
        quantity("5 KB", "bytes", "1.2 MB")


def test_every_example_is_itself_valid(tmp_path):
    lines = "\n".join(f'{name} = "{limit.example}"' for name, limit in LIMITS.items())
    budgets = read(write(tmp_path / "edgeworthy.toml", f"[[budget]]\n{lines}\n"))
    assert [rule.name for rule in budgets.rules] == list(LIMITS)


def test_pyproject_holds_budgets_below_tool(tmp_path):
    path = write(tmp_path / "pyproject.toml", PYPROJECT)
    budgets = find(tmp_path)
    assert budgets.source == path
    assert budgets.baseline == tmp_path / "base.json"
    assert [(str(r), r.artifact, r.device, r.value) for r in budgets.rules] == [
        ("max-size 1.2 MB", "mobilenet*/tflite-int8", "*", 1_200_000),
        ("max-latency-growth 10%", "mobilenet*/tflite-int8", "*", pytest.approx(0.1)),
        ("contract unchanged", "*", "cpu", 0),
    ]


def test_edgeworthy_toml_goes_before_pyproject(tmp_path):
    write(tmp_path / "pyproject.toml", PYPROJECT)
    write(tmp_path / "edgeworthy.toml", '[[budget]]\nmax-size = "1 MB"\n')
    assert [str(rule) for rule in find(tmp_path).rules] == ["max-size 1 MB"]


def test_without_settings_there_are_no_rules(tmp_path):
    write(tmp_path / "pyproject.toml", "[project]\n")
    budgets = find(tmp_path)
    assert (budgets.rules, budgets.source) == ((), None)


def test_only_keeps_the_groups_asked_for(tmp_path):
    write(tmp_path / "pyproject.toml", PYPROJECT)
    assert [r.name for r in find(tmp_path).only(["size", "contract"])] == ["max-size", "contract"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('basline = "x"', "unknown key 'basline'; did you mean 'baseline'"),
        ("baseline = 3", "baseline must be a file name"),
        ('[[budget]]\nmax-sise = "1 MB"', "budget 1: unknown key 'max-sise'.*'max-size'"),
        ("[[budget]]\nzzz = 1", "unknown key 'zzz'; there are artifact, device, max-size"),
        ("[[budget]]\nmax-size = 5", r'budget 1: max-size = 5 has no unit.*"1.2 MB"'),
        ('[[budget]]\nmax-size = "5 ms"', "unknown unit 'ms'"),
        ('[[budget]]\nmax-accuracy-drop = "1%"', "unknown unit '%'"),
        ('[[budget]]\ncontract = "same"', 'contract can only be "unchanged"'),
        ('[[budget]]\nartifact = "*"', "limits nothing"),
        ('[[budget]]\nartifact = 3\nmax-size = "1 MB"', "are patterns"),
        ('[budget]\nmax-size = "1 MB"', "two brackets"),
        ("budget = [1]", "must be a table"),
        ("[[budget", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_key(tmp_path, text, message):
    path = write(tmp_path / "edgeworthy.toml", text)
    with pytest.raises(BenchError, match=message) as caught:
        find(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["tool = 1", "[tool]\nedgeworthy = 1"])
def test_a_pyproject_that_is_no_table_there_is_refused(tmp_path, text):
    write(tmp_path / "pyproject.toml", text)
    with pytest.raises(BenchError, match="must be a table"):
        find(tmp_path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(BenchError, match="--config FILE"):
        read(tmp_path / "none.toml")


def test_a_named_pyproject_without_budgets_is_an_error(tmp_path):
    with pytest.raises(BenchError, match=r"\[\[tool.edgeworthy.budget\]\]"):
        read(write(tmp_path / "pyproject.toml", ""))


def test_the_baseline_lies_beside_the_file_by_default():
    assert find(Path("nowhere")).baseline == Path("nowhere/edgeworthy-baseline.json")
