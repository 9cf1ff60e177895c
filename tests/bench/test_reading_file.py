import msgspec
import pytest

from bench import reading_file
from bench.reading import readings
from bench.record import BenchError
from bench.record_file import append
from tests.bench.test_reading import mixed, plain


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "records.jsonl"
    made = list(mixed(150, seed=5))
    path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in made))
    return path, made


def together(path):
    """Read a file in many stretches, whose ends are within lines."""
    return list(reading_file.read(path, large=0, stretch=50_001))


class TestSeveralProcesses:
    def test_they_read_what_one_reads_in_its_order(self, written):
        path, made = written
        found = together(path)
        assert plain(found) == plain(readings(made))
        assert [one.name for one in found] == [one.name for one in readings(made)]

    def test_what_is_common_is_one_object(self, written):
        path, _ = written
        found = together(path)
        assert len({id(one.manifest) for one in found}) == 1

    def test_a_line_that_is_no_record_is_named(self, written):
        path, made = written
        with path.open("ab") as stream:
            stream.write(b'{"schema": 1}\n')
        with pytest.raises(BenchError, match=f"{path}:{len(made) + 1} is not a record"):
            together(path)

    def test_a_torn_last_line_is_passed_over(self, written):
        path, made = written
        with path.open("ab") as stream:
            stream.write(b'{"schema": 1, "run')
        assert len(together(path)) == len(made)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BenchError, match="cannot read"):
        together(tmp_path / "none.jsonl")


def test_a_short_file_is_read_here(tmp_path):
    path = tmp_path / "records.jsonl"
    made = list(mixed(3, seed=6))
    for one in made:
        append(path, one)
    assert plain(reading_file.read(path)) == plain(readings(made))
