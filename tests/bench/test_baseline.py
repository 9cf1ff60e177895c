import msgspec
import pytest
from msgspec.structs import replace

from bench import baseline
from bench.baseline import ROUNDS, Past, build, measurement, read, unfit, update, write
from bench.record import BenchError
from export.artifact import File
from tests.bench.factory import manifest, record, unproved

SMALL, LARGE = manifest("small"), manifest("large", size=2_000_000)


def test_what_is_written_is_what_is_read(tmp_path):
    whole = build([SMALL, LARGE], [record(SMALL, top1=0.9), record(LARGE, 8.0, threads=None)])
    path = tmp_path / "new" / "base.json"
    write(path, whole)
    assert read(path) == whole
    assert [p.name for p in path.parent.iterdir()] == ["base.json"]


def test_the_file_is_the_same_whatever_the_order(tmp_path):
    records = [record(SMALL), record(LARGE), record(SMALL, threads=4)]
    write(tmp_path / "a", build([SMALL, LARGE], records))
    write(tmp_path / "b", build([LARGE, SMALL], records[::-1]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_file_is_for_reading_in_a_diff(tmp_path):
    write(tmp_path / "base.json", build([SMALL], [record(SMALL)]))
    lines = (tmp_path / "base.json").read_text().splitlines()
    assert '      "size_bytes": 1000000,' in lines
    assert '        "input image": "float32 1x224x224x3 NHWC",' in lines
    assert sum('"rounds_ns": [' in line and line.endswith("],") for line in lines) == 1


def test_at_most_thirty_rounds_are_kept_from_first_to_last():
    long = record(SMALL, count=100)
    every = measurement(long).rounds_ns
    (kept,) = build([SMALL], [long]).measurements.values()
    assert len(kept.rounds_ns) == ROUNDS
    assert (kept.rounds_ns[0], kept.rounds_ns[-1]) == (every[0], every[-1])


@pytest.mark.parametrize("count", [1, 2, 29, 30])
def test_up_to_thirty_rounds_are_all_kept(count):
    (kept,) = build([SMALL], [record(SMALL, count=count)]).measurements.values()
    assert len(kept.rounds_ns) == count


def test_several_processes_have_a_median_each_and_one_has_none():
    long = record(SMALL, count=60, spread=0.001)
    split = replace(long, processes=(6,) * 10)
    assert measurement(long).processes_ns == ()
    (kept,) = build([SMALL], [split]).measurements.values()
    assert len(kept.processes_ns) == len(kept.units_ns) == 10
    assert kept.processes_ns == pytest.approx([4e6] * 10, rel=0.01)


def test_the_hash_of_several_files_tells_them_apart_by_name_and_content():
    files = [File(path=p, bytes=1, sha256=s * 64) for p, s in (("a", "1"), ("b", "2"))]
    swapped = [replace(f, path=p) for f, p in zip(files, "ba", strict=True)]
    hashes = {
        baseline.model_sha256(replace(SMALL, files=tuple(chosen)))
        for chosen in (files, swapped, files[:1])
    }
    assert len(hashes) == 3
    assert baseline.model_sha256(replace(SMALL, files=tuple(files[::-1]))) == baseline.model_sha256(
        replace(SMALL, files=tuple(files))
    )


def test_an_update_replaces_what_fits_and_keeps_the_rest():
    old = build([SMALL, LARGE], [record(SMALL), record(SMALL, threads=4), record(LARGE)])
    smaller = manifest("small", size=5)
    new = update(
        old, build([smaller, replace(LARGE, size_bytes=9)], [record(smaller, 1.0)]), "small"
    )
    assert {k: a.size_bytes for k, a in new.artifacts.items()} == {
        "large/tflite-fp32": 2_000_000,
        "small/tflite-fp32": 5,
    }
    assert new.measurements.keys() == old.measurements.keys()
    name = "small/tflite-fp32 cpu onnxruntime threads=1 batch=1"
    assert new.measurements[name] != old.measurements[name]


def test_an_update_drops_what_is_gone():
    old = build([SMALL, LARGE], [record(SMALL), record(LARGE)])
    new = update(old, build([LARGE], []), "small*")
    assert [*new.artifacts] == ["large/tflite-fp32"]
    assert [m.artifact for m in new.measurements.values()] == ["large/tflite-fp32"]


def test_the_closest_measurement_has_the_fewest_differences():
    known = [measurement(record(SMALL, threads=n, batch=n)) for n in (1, 2)]
    now = measurement(record(SMALL, threads=2, batch=1))
    found, differences = Past(known).closest(now)
    assert found == known[0]
    assert differences == ("threads: 1 and 2",)


def test_another_name_of_the_same_machine_is_comparable():
    known = measurement(record(SMALL, device="laptop"))
    assert Past([known]).closest(measurement(record(SMALL))) == (known, ())


@pytest.mark.parametrize(
    ("made", "artifact", "reason"),
    [
        (record(SMALL), SMALL, None),
        (record(SMALL), None, "no such artifact"),
        (record(manifest("small", sha256="1" * 64)), SMALL, "another file"),
        (record(SMALL, count=0), SMALL, "failed"),
        (record(SMALL, emulated=True), SMALL, "emulated"),
        (record(SMALL, proof=unproved()), SMALL, "unproved"),
        (record(SMALL, proof=replace(unproved(), verified=False)), SMALL, "wrong"),
    ],
)
def test_only_sound_records_of_the_artifact_serve_as_a_baseline(made, artifact, reason):
    found = unfit(made, artifact)
    assert found is None if reason is None else reason in found


def test_a_missing_baseline_is_none(tmp_path):
    assert read(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a baseline"),
        ("[]", "is not a baseline"),
        ('{"schema": 1, "artifacts": {}}', "is not a baseline"),
        ('{"schema": 99}', "upgrade"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path, text, message):
    path = tmp_path / "base.json"
    path.write_text(text)
    with pytest.raises(BenchError, match=message):
        read(path)


def test_a_directory_is_no_baseline(tmp_path):
    with pytest.raises(BenchError, match="cannot read"):
        read(tmp_path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot write"):
        write(tmp_path / "file" / "base.json", build([SMALL], []))
    assert (tmp_path / "file").read_text() == ""


def test_a_contract_is_described_by_what_an_application_relies_on():
    image = replace(SMALL.contract.inputs[0], dtype="int8", scale=0.5, zero_point=-128)
    contract = replace(SMALL.contract, inputs=(image,), classes=("cat", "dog"))
    lines = baseline.describe(contract)
    assert lines["input image"] == "int8 1x224x224x3 NHWC, scale 0.5, zero -128"
    assert lines["classes"].startswith("2 names, sha256 ")
    assert baseline.contract_sha256(contract) != baseline.contract_sha256(SMALL.contract)
    assert msgspec.json.decode(msgspec.json.encode(lines)) == lines
