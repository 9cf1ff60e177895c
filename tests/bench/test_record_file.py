import os
import subprocess
import threading
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.record import SCHEMA, BenchError
from bench.record_file import append, check_writable, read
from tests.bench.records import make_manifest, make_record

RECORDS = st.builds(
    make_record,
    rounds=st.lists(st.lists(st.integers(0, 2**62), max_size=5), max_size=5),
    verified=st.sampled_from([True, False, None]),
    emulated=st.booleans(),
    failure=st.one_of(st.none(), st.text(max_size=20)),
    threads=st.one_of(st.none(), st.integers(1, 64)),
)


@given(records=st.lists(RECORDS, max_size=4))
@settings(max_examples=40, deadline=None)
def test_what_is_appended_is_read_back_in_order(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("records") / "r.jsonl"
    path.touch()
    for record in records:
        append(path, record)
    assert list(read(path)) == records


@given(torn=st.binary(min_size=1, max_size=200).filter(lambda b: b"\n" not in b))
@settings(max_examples=40, deadline=None)
def test_a_torn_last_line_is_passed_over_and_cut_away_by_the_next(tmp_path_factory, torn):
    path = tmp_path_factory.mktemp("records") / "r.jsonl"
    append(path, make_record(threads=1))
    with path.open("ab") as stream:
        stream.write(torn)
    assert [r.settings.threads for r in read(path)] == [1]
    append(path, make_record(threads=2))
    assert [r.settings.threads for r in read(path)] == [1, 2]


def test_a_file_that_is_one_long_torn_line_starts_afresh(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"x" * 200_000)
    append(path, make_record())
    assert len(list(read(path))) == 1


def test_a_torn_line_longer_than_a_block_is_cut_at_the_last_whole_one(tmp_path):
    path = tmp_path / "r.jsonl"
    append(path, make_record(threads=1))
    with path.open("ab") as stream:
        stream.write(b"x" * 200_000)
    append(path, make_record(threads=2))
    assert [r.settings.threads for r in read(path)] == [1, 2]


def test_writers_take_turns(tmp_path):
    path = tmp_path / "r.jsonl"
    record = make_record(rounds=[[123456789] * 1000] * 20)
    writers = [
        threading.Thread(target=lambda: [append(path, record) for _ in range(10)]) for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list(read(path))) == 40


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_in_one_line(tmp_path):
    with pytest.raises(BenchError, match="No space left on device; choose another file"):
        append(Path("/dev/full"), make_record())


@pytest.mark.parametrize("where", ["file/r.jsonl", "folder"])
def test_an_output_that_cannot_be_written_is_found_beforehand(tmp_path, where):
    (tmp_path / "file").write_text("not a directory")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BenchError, match="choose another file with --out FILE"):
        check_writable(tmp_path / where)


def test_checking_leaves_no_empty_file_and_keeps_what_there_is(tmp_path):
    new, old = tmp_path / "deep" / "new.jsonl", tmp_path / "old.jsonl"
    append(old, make_record())
    before = old.read_bytes()
    check_writable(new)
    check_writable(old)
    assert not new.exists()
    assert old.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_found_beforehand(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BenchError, match="Permission denied"):
        check_writable(tmp_path / "r.jsonl")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_file_system_is_found_beforehand(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        with pytest.raises(BenchError, match="Read-only file system"):
            check_writable(tmp_path / "r.jsonl")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(BenchError, match="make records with 'bench run --out"):
        list(read(tmp_path / "none.jsonl"))


def test_a_line_that_is_no_record_is_named(tmp_path):
    path = tmp_path / "r.jsonl"
    append(path, make_record())
    with path.open("a") as stream:
        stream.write('{"schema": 1}\n')
    with pytest.raises(BenchError, match=r"r\.jsonl:2 is not a record"):
        list(read(path))


def test_a_record_of_a_newer_version_says_upgrade(tmp_path):
    path = tmp_path / "r.jsonl"
    newer = msgspec.structs.replace(make_record(), schema=SCHEMA + 1)
    line = msgspec.to_builtins(newer) | {"something": "new"}
    path.write_bytes(msgspec.json.encode(line) + b"\n")
    with pytest.raises(BenchError, match="upgrade it"):
        list(read(path))


def test_processes_that_made_other_rounds_than_there_are_are_no_record(tmp_path):
    path = tmp_path / "records.jsonl"
    line = msgspec.json.encode(msgspec.structs.replace(make_record(), processes=(1,)))
    path.write_bytes(line.replace(b'"processes":[1]', b'"processes":[1,2]') + b"\n")
    with pytest.raises(BenchError, match=r"its processes made 3 rounds, and it holds 1"):
        list(read(path))


NEW = ("group", "cold", "starts_ns", "usage", "surroundings", "end_to_end", "sustained")


def test_a_record_of_before_the_evidence_was_kept_is_still_read(tmp_path):
    old = {k: v for k, v in msgspec.to_builtins(make_record()).items() if k not in NEW}
    path = tmp_path / "r.jsonl"
    path.write_bytes(msgspec.json.encode(old) + b"\n")
    (record,) = read(path)
    assert record.group is None
    assert record.usage == record.starts_ns == record.cold == ()
    assert record.rounds == make_record().rounds


def test_what_records_have_in_common_is_one_object(tmp_path):
    path = tmp_path / "r.jsonl"
    given = [
        make_record(threads=1),
        make_record(threads=2),
        make_record(manifest=make_manifest("b")),
    ]
    for record in given:
        append(path, record)
    first, again, other = read(path)
    assert [first, again, other] == given
    assert (again.manifest is first.manifest, again.device is first.device) == (True, True)
    assert other.manifest.network.name == "b"


@given(cuts=st.lists(st.integers(0, 8000), max_size=5))
@settings(max_examples=40, deadline=None)
def test_stretches_of_a_file_hold_every_record_once(tmp_path_factory, cuts):
    path = tmp_path_factory.mktemp("records") / "r.jsonl"
    for threads in range(5):
        append(path, make_record(threads=threads))
    ends = [0, *sorted(cuts), path.stat().st_size]
    found = [one for pair in pairwise(ends) for one in read(path, *pair)]
    assert [one.settings.threads for one in found] == [0, 1, 2, 3, 4]


def test_what_cannot_be_sought_in_is_read_too():
    out, into = os.pipe()
    with os.fdopen(into, "wb") as stream:
        stream.write(msgspec.json.encode(make_record()) + b"\n")
    assert list(read(Path(f"/dev/fd/{out}"))) == [make_record()]
    os.close(out)
