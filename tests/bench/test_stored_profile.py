"""Profiles as they are kept: whole, checked when read, and by schema."""

import pytest
from msgspec.structs import replace

from bench.record import BenchError
from bench.record_file import append
from bench.sources import PROFILES, profiles
from bench.stored_profile import SCHEMA, latest, read
from tests.bench.factory import manifest
from tests.bench.profiles import profile, stored


@pytest.fixture
def path(tmp_path):
    return tmp_path / "profiles.jsonl"


def test_what_is_read_has_the_figures_of_what_was_profiled(path):
    append(path, stored())
    (found,) = read(path)
    assert found == stored()
    assert found.profile == profile()


def test_the_last_of_a_key_counts(path):
    for runs in (4, 5):
        append(path, stored(runs=runs))
    append(path, stored(threads=2))
    assert [(p.runs, p.threads) for p in latest(read(path))] == [(5, 1), (4, 2)]


def test_a_line_that_was_not_written_to_its_end_is_passed_over(path):
    append(path, stored())
    with path.open("a") as stream:
        stream.write('{"schema":1,"cre')
    assert len(list(read(path))) == 1


def test_a_later_schema_is_refused_by_its_line(path):
    append(path, stored())
    append(path, stored(schema=SCHEMA + 1))
    with pytest.raises(BenchError, match=r"jsonl:2 has schema 2, this edgeworthy reads up to 1"):
        list(read(path))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"kind": "depthwize"}, "no kind of operators 'depthwize'"),
        ({"times": replace(stored().operators[0].times, ns=())}, "one time and one start"),
    ],
)
def test_what_would_leave_time_out_of_the_shares_is_refused(path, changed, says):
    with pytest.raises(ValueError, match=says):
        replace(stored().operators[0], **changed)


@pytest.mark.parametrize("line", ["{}", '{"schema":1}', "[1]", '"kind":"depthwise"'])
def test_what_is_no_profile_is_named_by_its_line(path, line):
    path.write_text(f"{line}\n")
    with pytest.raises(BenchError, match=r"profiles.jsonl:1 is not a profile"):
        list(read(path))


def test_a_file_that_is_not_there_says_what_makes_one(path):
    with pytest.raises(BenchError, match="make profiles with 'bench profile ARTIFACT"):
        profiles(path)


def test_without_a_name_the_usual_file_is_read_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert profiles(None) == []
    PROFILES.parent.mkdir()
    append(PROFILES, stored(manifest("net")))
    assert [p.manifest.key for p in profiles(None)] == ["net/tflite-fp32"]
