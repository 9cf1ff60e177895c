from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.accuracy import AccuracyTest
from bench.matrix import Artifact, Choice, Effort, describe, groups, plan, select
from bench.record import BenchError
from bench.resume import resume
from bench.rows import label, rows, varying
from bench.run import exit_code, run_matrix, shortfall
from bench.stats import MIN_ROUNDS, precision
from bench.verdict import verdict
from devices.device import WorkerError
from export.artifact import load, write_manifest
from tests.bench.fake_device import FakeDevice, Script
from tests.bench.running import NAMES, Collector, cells, measure
from tests.tiny import tiny_onnx

SIZES = (700_000_000, 800_000_000, 2_000_000_000)


def altered(artifact, path: Path, **changes):
    """Return an artifact like another, with a changed manifest."""
    return Artifact(path, msgspec.structs.replace(artifact.manifest, **changes))


def test_every_artifact_gets_one_valid_record_with_all_its_figures(root):
    records = measure(root, FakeDevice())
    assert sorted(records) == list(NAMES)
    for record in records.values():
        assert verdict(record).word == "valid"
        assert record.proof.verified is True
        assert record.proof.runtime == "first"
        assert record.stop == "precise"
        assert record.load_ns == 2_000_000
        assert record.memory.after_run == 3
        assert record.warm_up.steady
        assert record.settings.threads_found == record.settings.threads == 1
        assert record.environment == {"python": "3.9"}
    assert len({record.run for record in records.values()}) == 1


def test_the_proof_comes_before_the_first_timed_round(root):
    device = FakeDevice()
    measure(root, device)
    for name in NAMES:
        ops = [op for op, who in device.log if who == name]
        assert ops[:5] == ["load", "measure", "verify", "meters", "measure"]
        assert ops[-2:] == ["memory", "close"]


def test_artifacts_take_turns_in_an_order_that_changes_and_is_seeded(root):
    def turns(seed):
        device = FakeDevice()
        measure(root, device, effort=Effort(seed=seed))
        order = device.requests("measure")
        start = max(i for i, (op, _) in enumerate(device.log) if op == "verify")
        timed = [name for op, name in device.log[start:] if op == "measure"][-3 * MIN_ROUNDS :]
        return order, [tuple(timed[i : i + 3]) for i in range(0, len(timed), 3)]

    order, laps = turns(1)
    assert all(sorted(lap) == list(NAMES) for lap in laps)
    assert len(set(laps)) > 1
    assert turns(1)[0] == order
    assert turns(2)[0] != order


def test_a_round_is_about_75_ms_of_samples_and_its_settling_run_is_left_out(root):
    records = measure(
        root, FakeDevice({"a": Script(ns=5e6), "b": Script(ns=2e8), "c": Script(1e4)})
    )
    assert {len(r) for r in records["a"].rounds} == {15}
    assert {len(r) for r in records["b"].rounds} == {1}
    assert {len(r) for r in records["c"].rounds} == {500}


def test_each_artifact_stops_on_its_own_when_its_interval_is_tight(root):
    device = FakeDevice({"a": Script(drift=0.001), "b": Script(drift=0.1)})
    records = measure(root, device, effort=Effort(max_seconds=60))
    assert len(records["a"].rounds) == MIN_ROUNDS
    assert len(records["b"].rounds) > 3 * MIN_ROUNDS
    assert records["b"].stop == "precise"
    assert precision(records["b"].rounds) <= 0.02


def test_time_ends_a_measurement_that_stays_noisy(root):
    device = FakeDevice({"a": Script(drift=0.5)})
    record = measure(root, device, effort=Effort(max_seconds=2), patterns=["a"])["a"]
    assert record.stop == "time"
    assert verdict(record).word == "noisy"
    spent = sum(map(sum, record.rounds)) / 1e9
    assert 2 <= spent < 2.5
    assert exit_code([record]) == 3
    assert shortfall([record]) == "1 of 1 figures do not hold: 1 noisy"


def test_a_slow_artifact_that_gets_too_few_rounds_is_too_short(root):
    device = FakeDevice({"a": Script(ns=1e9)})
    record = measure(root, device, effort=Effort(max_seconds=3), patterns=["a"])["a"]
    assert len(record.rounds) == 3
    assert verdict(record).word == "too short"
    assert "--max-seconds 12" in verdict(record).advice


def test_warm_up_lasts_until_the_slow_invocations_are_over(root):
    device = FakeDevice({"a": Script(slow_runs=30)})
    record = measure(root, device, patterns=["a"])["a"]
    assert record.warm_up.steady
    assert record.warm_up.runs > 30
    assert max(max(r) for r in record.rounds) < 1.1e6
    assert record.first_ns > 2.9e6


def test_warm_up_that_never_settles_ends_at_the_limit_and_is_told(root):
    device = FakeDevice({"a": Script(drift=2.0)})
    record = measure(root, device, effort=Effort(max_seconds=0.02), patterns=["a"])["a"]
    assert not record.warm_up.steady
    assert verdict(record).word in {"noisy", "too short"}


def test_a_wrong_answer_voids_the_timing_and_the_others_go_on(root):
    records = measure(root, FakeDevice({"b": Script(wrong=True)}))
    wrong = records["b"]
    assert wrong.rounds == ()
    assert wrong.first_ns is None
    assert (wrong.failure.stage, wrong.failure.cause) == ("verify", "wrong-answer")
    assert wrong.proof.verified is False
    assert wrong.proof.outputs[0].psnr_db < 80
    assert verdict(wrong).word == "wrong"
    assert exit_code(records.values()) == 1
    assert verdict(records["a"]).word == verdict(records["c"]).word == "valid"


@pytest.mark.parametrize(
    ("op", "number"),
    [("load", 1), ("measure", 1), ("verify", 1), ("measure", 20), ("memory", 1)],
)
def test_a_worker_that_fails_at_any_moment_is_a_record_and_the_others_go_on(root, op, number):
    death = WorkerError(op, "died", "killed by SIGKILL")
    device = FakeDevice({"b": Script(drift=0.2, fails={(op, number): death})})
    records = measure(root, device, effort=Effort(max_seconds=2))
    failed = records["b"]
    assert (failed.failure.stage, failed.failure.cause) == (op, "died")
    assert failed.failure.detail == "killed by SIGKILL"
    assert failed.stop == "failed"
    assert verdict(failed).word == "failed"
    assert verdict(records["a"]).word == verdict(records["c"]).word == "valid"
    assert exit_code(records.values()) == 3
    assert device.open_now == set()


def test_an_interrupt_keeps_finished_records_and_closes_every_worker(root):
    stop = Script(drift=0.1, fails={("measure", 60): KeyboardInterrupt()})
    device = FakeDevice({"b": stop, "c": Script(drift=0.3)})
    collector = Collector()
    with pytest.raises(KeyboardInterrupt):
        run_matrix(cells(root, device), collector)
    assert list(collector.records) == ["a"]
    assert device.open_now == set()
    assert sorted(device.requests("close")) == list(NAMES)


def test_a_format_without_a_runtime_is_a_failure_record_that_is_no_fault(root):
    artifact = select(root, ["a"])[0]
    coreml = altered(artifact, artifact.path, format="coreml")
    device = FakeDevice()
    collector = Collector()
    plan_ = plan([coreml, *select(root, ["b"])], describe([device]), Choice(), Effort())
    run_matrix(plan_, collector)
    failure = collector.records["a"].failure
    assert (failure.cause, failure.detail) == (
        "missing-runtime",
        "no Core ML runtime on this system",
    )
    assert exit_code(collector.records.values()) == 0
    assert shortfall(collector.records.values()) is None
    assert exit_code([collector.records["a"]]) == 3


def test_an_emulated_device_never_gives_a_valid_record(root):
    records = measure(root, FakeDevice(emulated=True))
    assert {verdict(record).word for record in records.values()} == {"emulated"}
    assert exit_code(records.values()) == 3


def test_nothing_recorded_is_no_success():
    assert exit_code([]) == 3


def test_workers_open_at_once_are_bounded_by_number(root):
    artifact = select(root, ["a"])[0]
    many = [
        altered(artifact, artifact.path, network=msgspec.structs.replace(
            artifact.manifest.network, name=f"n{i}"
        ))
        for i in range(11)
    ]  # fmt: skip
    sizes = [len(g) for g in groups(plan(many, describe([FakeDevice()]), Choice(), Effort()))]
    assert sizes == [8, 3]


def test_workers_open_at_once_are_bounded_by_size_and_a_large_one_runs_alone(root):
    chosen = [
        altered(artifact, artifact.path, size_bytes=size)
        for artifact, size in zip(select(root, []), SIZES, strict=True)
    ]
    sizes = [len(g) for g in groups(plan(chosen, describe([FakeDevice()]), Choice(), Effort()))]
    assert sizes == [2, 1]


def test_a_group_shares_device_threads_and_batch(root):
    choice = Choice(threads=(1, 2), batches=(1, 8))
    targets = describe([FakeDevice(name="x"), FakeDevice(name="y")])
    made = list(groups(plan(select(root, []), targets, choice, Effort())))
    assert len(made) == 8
    for group in made:
        assert len(group) == 3
        assert len({(c.target.info.name, c.threads, c.batch) for c in group}) == 1


def test_without_a_batch_asked_for_each_file_runs_at_its_own(root):
    artifact = select(root, ["a"])[0]
    contract = artifact.manifest.contract
    image = msgspec.structs.replace(contract.inputs[0], shape=(8, 1, 8, 8))
    eight = altered(
        artifact, artifact.path, contract=msgspec.structs.replace(contract, inputs=(image,))
    )
    made = plan([eight, *select(root, ["b"])], describe([FakeDevice()]), Choice(), Effort())
    assert sorted(cell.batch for cell in made) == [1, 8]


def test_the_runtime_is_the_devices_first_or_the_one_asked_for(root):
    assert {cell.runtime for cell in cells(root, FakeDevice())} == {"first"}
    chosen = cells(root, FakeDevice(), choice=Choice(runtime="second"))
    assert {cell.runtime for cell in chosen} == {"second"}


def test_an_unknown_runtime_names_the_near_miss(root):
    with pytest.raises(BenchError, match=r"no runtime 'secnd'.*did you mean 'second'\?.*first"):
        cells(root, FakeDevice(), choice=Choice(runtime="secnd"))


class TestResume:
    def test_what_was_measured_validly_is_not_measured_again(self, root):
        device = FakeDevice({"b": Script(fails={("load", 1): WorkerError("load", "died", "")})})
        records = measure(root, device)
        todo, found = resume(cells(root, device), records.values(), None)
        assert [cell.artifact.manifest.network.name for cell in todo] == ["b"]
        assert sorted(r.manifest.network.name for r in found) == ["a", "c"]

    @pytest.mark.parametrize(
        "again",
        [
            {"choice": Choice(threads=(2,))},
            {"choice": Choice(batches=(8,))},
            {"choice": Choice(runtime="second")},
            {"effort": Effort(precision_target=0.001)},
            {"effort": Effort(processes=6)},
        ],
    )
    def test_other_settings_are_measured_again(self, root, again):
        device = FakeDevice()
        records = measure(root, device)
        todo, found = resume(cells(root, device, **again), records.values(), None)
        assert (len(todo), found) == (3, [])

    def test_a_changed_file_is_measured_again(self, root, tmp_path):
        records = measure(root, FakeDevice())
        changed = tiny_onnx(tmp_path, name="a", dynamic_batch=False)
        assert load(changed).key == "a/onnx-fp32"
        todo, _ = resume(cells(tmp_path, FakeDevice()), records.values(), None)
        assert len(todo) == 1

    def test_a_noisy_record_is_measured_again(self, root):
        device = FakeDevice({"a": Script(drift=0.5)})
        records = measure(root, device, effort=Effort(max_seconds=1))
        todo, _ = resume(cells(root, device), records.values(), None)
        assert [cell.artifact.manifest.network.name for cell in todo] == ["a"]

    def test_accuracy_wanted_now_is_measured_though_the_times_are_known(self, root, tmp_path):
        records = measure(root, FakeDevice())
        test = AccuracyTest(Squares(), tmp_path)
        assert len(resume(cells(root, FakeDevice()), records.values(), test)[0]) == 3
        with_accuracy = measure(root, FakeDevice(), accuracy=test)
        assert resume(cells(root, FakeDevice()), with_accuracy.values(), test)[0] == []


class Squares:
    """A hundred images of ten classes; image i is of class i % 10 and holds i everywhere."""

    name = "squares"
    fingerprint = "f" * 8

    def __init__(self, classes=10):
        self.classes = tuple(f"class {i}" for i in range(classes))

    def __len__(self):
        return 100

    def batches(self, preprocessing, batch):
        shape = (1, preprocessing.channels, *preprocessing.size)
        for start in range(0, 100, batch):
            chosen = np.arange(start, min(start + batch, 100))
            yield chosen.reshape(-1, 1, 1, 1) * np.ones(shape, np.float32), chosen % 10


class TestAccuracy:
    def test_every_image_is_classified_once_and_files_are_shared(self, root, tmp_path):
        device = FakeDevice()
        records = measure(root, device, accuracy=AccuracyTest(Squares(), tmp_path))
        for record in records.values():
            assert record.accuracy.top1 == 0.1
            assert record.accuracy.top5 == 0.5
            assert record.accuracy.images == 100
            assert record.accuracy.fingerprint == "f" * 8
        written = set(device.images)
        assert len(device.images) == 3 * len(written)
        rows = np.concatenate([np.load(path) for path in sorted(written)])
        assert rows[:, 0, 0, 0].tolist() == list(range(100))

    def test_images_are_laid_out_as_the_artifact_takes_them(self, root, tmp_path):
        artifact = select(root, ["a"])[0]
        contract = artifact.manifest.contract
        image = msgspec.structs.replace(contract.inputs[0], layout="NHWC", shape=(1, 8, 8, 1))
        channels_last = altered(
            artifact, artifact.path, contract=msgspec.structs.replace(contract, inputs=(image,))
        )
        device = FakeDevice()
        made = plan([channels_last], describe([device]), Choice(), Effort())
        run_matrix(made, Collector(), AccuracyTest(Squares(), tmp_path))
        assert np.load(device.images[0]).shape[1:] == (8, 8, 1)

    def test_memory_is_read_before_the_images_take_theirs(self, root, tmp_path):
        device = FakeDevice()
        measure(root, device, accuracy=AccuracyTest(Squares(), tmp_path), patterns=["a"])
        ops = [op for op, _ in device.log]
        assert ops.index("memory") < ops.index("predict")

    def test_a_data_set_of_other_classes_is_not_used(self, root, tmp_path):
        test = AccuracyTest(Squares(classes=7), tmp_path)
        assert "10 figures" in test.misfit(select(root, ["a"])[0].manifest)
        assert measure(root, FakeDevice(), accuracy=test)["a"].accuracy is None

    def test_a_worker_that_dies_classifying_is_a_failure_record(self, root, tmp_path):
        fails = {("predict", 2): WorkerError("predict", "hung", "no answer in 120 s")}
        device = FakeDevice({"a": Script(fails=fails)})
        record = measure(root, device, AccuracyTest(Squares(), tmp_path), patterns=["a"])["a"]
        assert (record.failure.stage, record.failure.cause) == ("predict", "hung")


class TestSelect:
    def test_patterns_add_up_and_each_artifact_comes_once(self, root):
        found = select(root, ["a", "*/onnx-fp32", str(root / "b" / "onnx-fp32")])
        assert [a.manifest.network.name for a in found] == list(NAMES)

    def test_a_pattern_may_begin_with_the_directory(self, root):
        assert len(select(root, [f"{root}/a/onnx-*"])) == 1

    def test_a_misspelt_name_is_told_with_the_nearest(self, tmp_path):
        tiny_onnx(tmp_path, name="mobilenet")
        with pytest.raises(BenchError, match=r"'mobilnet\*'; did you mean 'mobilenet'\?"):
            select(tmp_path, ["mobilnet*"])

    def test_an_empty_directory_says_how_to_export(self, tmp_path):
        with pytest.raises(BenchError, match="edgeworthy export --model NAME"):
            select(tmp_path, [])

    def test_two_artifacts_of_one_name_are_refused(self, root, tmp_path):
        other = tiny_onnx(tmp_path, name="a")
        with pytest.raises(BenchError, match="are both a/onnx-fp32"):
            select(root, ["a", str(other)])

    def test_a_failed_manifest_is_told_before_anything_is_measured(self, tmp_path):
        path = tiny_onnx(tmp_path)
        write_manifest(path, msgspec.structs.replace(load(path), schema=99))
        with pytest.raises(Exception, match="newer edgeworthy"):
            select(tmp_path, [])


def test_stages_are_told_in_order(root):
    collector = Collector()
    run_matrix(cells(root, FakeDevice(), patterns=["a"]), collector)
    stages = [stage for _, stage, _ in collector.stages]
    assert stages[:3] == ["load", "prove", "warm up"]
    assert stages[3:] == ["measure"] * MIN_ROUNDS
    assert all(b - a in (0, 1) for a, b in pairwise(rounds for *_, rounds in collector.stages))


def test_every_runtime_is_measured_where_all_are_asked_for(root):
    made = cells(root, FakeDevice(), Choice(every_runtime=True), patterns=["a/*"])
    assert [cell.runtime for cell in made] == ["first", "second"]
    assert len(list(groups(made))) == 1
    collected = {}

    class Kept(Collector):
        def record(self, cell, record):
            collected[cell.runtime] = record

    run_matrix(made, Kept())
    assert varying(rows(collected.values())) == ["runtime"]
    assert {label(row, ["runtime"]) for row in rows(collected.values())} == {
        "onnx-fp32, first",
        "onnx-fp32, second",
    }
