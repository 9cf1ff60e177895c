"""Searching among scripted candidates: the answer is known, and no time passes."""

import shutil

import pytest

from bench.conditions import latest, successes
from bench.demands import Demands
from bench.matrix import Choice, Effort, describe, select
from bench.noise import NoiseProfile, Spread
from bench.record import BenchError
from bench.report.best import as_data, best
from bench.run import run_matrix
from bench.search import candidates, default_of, rung_effort, search
from devices.device import DeviceInfo, Memory
from tests.bench.fake_device import FakeDevice, FakeSession, Script
from tests.bench.running import two_precisions
from tests.tiny import tiny_onnx

DEFAULT = ("onnx-fp32", "first", 1)


class VariantSession(FakeSession):
    """One artifact, whose memory its script's key decides."""

    def memory(self):
        super().memory()
        bytes_used = self._device.memory_of.get(self._job.artifact.name, 3)
        return Memory(definition="scripted", before_load=1, after_load=2, after_run=bytes_used)


class VariantDevice(FakeDevice):
    """Scripts by variant, runtime and threads; what has none takes 4 ms."""

    def __init__(self, scripts=None, memory_of=None):
        super().__init__()
        self.of, self.memory_of = scripts or {}, memory_of or {}

    def open(self, job):
        key = (job.artifact.name, job.runtime, job.threads)
        return VariantSession(self, job, self.of.get(key, Script(ns=4e6)))

    def runtimes(self, format):
        return ["first", "second", "slow-reference"] if format == "onnx" else []

    def info(self):
        return DeviceInfo(name="fake", kind="fake", fingerprint="f", emulated=False, facts={})


class Kept:
    def __init__(self):
        self.rungs = []

    def progress(self, cell, stage, rounds):
        pass

    def record(self, cell, record):
        self.rungs[-1].append(record)

    def measure(self, cells, accuracy):
        self.rungs.append([])
        run_matrix(cells, self, accuracy, mixed=True)
        return self.rungs[-1]

    @property
    def sizes(self):
        return [len(records) for records in self.rungs]


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    return two_precisions(tmp_path_factory.mktemp("artifacts"))


def cells_of(root, device, threads=(1, 2), effort=None):
    (target,) = describe([device])
    chosen = select(root, ["tiny/*"])
    return candidates(chosen, target, Choice(threads=threads), effort or Effort(processes=6))


def searched(root, device, demands=None, noise=None, **settings):
    kept = Kept()
    cells = cells_of(root, device, **settings)
    return search(cells, demands or Demands(), kept.measure, noise=noise), kept


def key(record):
    return record.manifest.variant, record.settings.runtime, record.settings.threads


def test_candidates_are_all_files_runtimes_and_threads_but_no_reference(variants):
    cells = cells_of(variants, VariantDevice())
    found = {(c.artifact.manifest.variant, c.runtime, c.threads) for c in cells}
    assert len(cells) == len(found) == 8
    assert {runtime for _, runtime, _ in found} == {"first", "second"}


def test_the_defaults_are_fp32_by_the_first_runtime_with_one_thread(variants):
    default = default_of(cells_of(variants, VariantDevice(), threads=(2, 1)))
    assert (default.artifact.manifest.variant, default.runtime, default.threads) == DEFAULT


def test_the_fastest_is_found_and_measured_in_full_beside_the_defaults(variants):
    fastest = ("onnx-fp16", "second", 2)
    outcome, kept = searched(variants, VariantDevice({fastest: Script(ns=2e6)}))
    assert key(outcome.best) == fastest
    assert key(outcome.defaults.record) == DEFAULT
    assert outcome.defaults.against.word == "slower"
    assert outcome.defaults.against.time.value == pytest.approx(2, rel=0.02)
    assert kept.sizes[:2] == [8, 4]
    assert outcome.best.rung is None
    assert len(outcome.best.processes) >= 6


def test_each_rung_gives_the_better_half_twice_the_time_and_the_processes():
    full = Effort(max_seconds=16, processes=6)
    rungs = [rung_effort(full, number) for number in (1, 2, 3, 4, 9)]
    assert [rung.max_seconds for rung in rungs] == [1, 2, 4, 8, 16]
    assert [rung.processes for rung in rungs] == [1, 2, 4, 6, 6]


def test_candidates_of_different_threads_take_turns(variants):
    _, kept = searched(variants, VariantDevice())
    assert {len({r.group for r in rung}) for rung in kept.rungs} == {1}
    assert {r.settings.threads for r in kept.rungs[0]} == {1, 2}


def test_short_records_are_no_measurements_to_any_other_command(variants):
    outcome, kept = searched(variants, VariantDevice())
    every = [record for rung in kept.rungs for record in rung]
    assert [record.rung for record in kept.rungs[0]] == [1] * 8
    full = {id(record) for record in outcome.records}
    assert {id(record) for record in latest(every)} == full
    assert {id(record) for record in successes(every)[0]} == full


def test_of_two_that_cannot_be_told_apart_the_smaller_file_is_chosen(variants):
    alike = {("onnx-fp32", "first", 1): Script(ns=2e6), ("onnx-fp16", "first", 1): Script(ns=2e6)}
    outcome, _ = searched(variants, VariantDevice(alike))
    assert key(outcome.best) == ("onnx-fp16", "first", 1)
    assert outcome.tied.against.word in {"same", "cannot tell"}
    text = " ".join(best(outcome).readings)
    assert "the smaller file" in text


def test_what_the_device_cannot_tell_apart_by_its_noise_is_a_tie(variants):
    near = {("onnx-fp32", "first", 1): Script(ns=2e6), ("onnx-fp16", "first", 1): Script(ns=2.1e6)}
    certain, _ = searched(variants, VariantDevice(near))
    assert key(certain.best) == ("onnx-fp32", "first", 1)
    assert certain.is_default
    assert certain.tied is None
    loud = Spread(comparisons=99, alarms=0, alarms_low=0, alarms_high=0, floor=0.2, detectable=0.4)
    profile = NoiseProfile(
        schema=1,
        fingerprint="f",
        device="fake",
        created="",
        tool_version="",
        artifact="",
        runtime="first",
        threads=1,
        processes=6,
        within=loud,
        between=loud,
    )
    unsure, _ = searched(variants, VariantDevice(near), noise={"f": profile})
    assert key(unsure.best) == ("onnx-fp16", "first", 1)


def test_a_wrong_answer_is_out_however_fast(variants):
    outcome, _ = searched(
        variants, VariantDevice({("onnx-fp16", "first", 1): Script(ns=1e5, wrong=True)})
    )
    assert key(outcome.best) != ("onnx-fp16", "first", 1)
    (drop,) = [d for d in outcome.dropped if d.reason.startswith("wrong")]
    assert (drop.cell.artifact.manifest.variant, drop.rung) == ("onnx-fp16", 1)


def test_a_candidate_above_the_memory_is_out_however_fast(variants):
    fast = VariantDevice({("onnx-fp16", "first", 1): Script(ns=1e6)}, {"onnx-fp16": 200})
    outcome, _ = searched(variants, fast, Demands(max_memory=100))
    assert outcome.best.manifest.variant == "onnx-fp32"
    assert any(d.reason == "memory 200 B, above 100 B" for d in outcome.dropped)


def test_if_nothing_meets_the_demands_the_nearest_is_named(variants):
    device = VariantDevice(memory_of={"onnx-fp16": 150, "onnx-fp32": 200})
    outcome, kept = searched(variants, device, Demands(max_memory=100))
    assert (outcome.best, outcome.exit_code) == (None, 1)
    assert outcome.nearest.cell.artifact.manifest.variant == "onnx-fp16"
    assert kept.sizes == [8]
    (reading,) = best(outcome).readings
    assert reading.startswith("nothing meets the demands; nearest is onnx-fp16, first, 1 thread")


def test_the_defaults_may_break_a_demand_and_are_measured_all_the_same(variants):
    device = VariantDevice(memory_of={"onnx-fp32": 200})
    outcome, _ = searched(variants, device, Demands(max_memory=100))
    assert outcome.best.manifest.variant == "onnx-fp16"
    assert key(outcome.defaults.record) == DEFAULT


def test_defaults_that_fail_leave_the_win_unknown_and_the_answer_unsure(variants):
    outcome, _ = searched(variants, VariantDevice({DEFAULT: Script(wrong=True)}))
    assert outcome.best is not None
    assert outcome.defaults is None
    assert outcome.exit_code == 3
    assert "how much is won is not known" in best(outcome).readings[0]


def test_two_candidates_are_measured_in_full_at_once(variants):
    effort = Effort(processes=6)
    cells = [c for c in cells_of(variants, VariantDevice(), (1,), effort) if c.runtime == "first"]
    kept = Kept()
    search(cells, Demands(), kept.measure)
    assert kept.sizes == [2]


def test_json_names_the_choice_the_defaults_and_what_fell_out(variants):
    fastest = ("onnx-fp16", "second", 2)
    outcome, _ = searched(variants, VariantDevice({fastest: Script(ns=2e6)}))
    data = as_data(outcome)
    assert (data["best"]["variant"], data["best"]["runtime"]) == fastest[:2]
    assert data["default"] == "onnx-fp32, first, 1 thread"
    assert data["defaults"]["against_best"]["word"] == "slower"
    assert len(data["dropped"]) == 7 - (data["tied"] is not None)


def test_several_networks_are_refused(variants, tmp_path):
    shutil.copytree(variants, tmp_path / "a")
    tiny_onnx(tmp_path / "a", name="other")
    (target,) = describe([VariantDevice()])
    with pytest.raises(BenchError, match="one network is searched, these are other, tiny"):
        candidates(select(tmp_path / "a", []), target, Choice(), Effort())


def test_a_runtime_that_is_not_there_is_refused(variants):
    (target,) = describe([VariantDevice()])
    chosen = select(variants, [])
    with pytest.raises(BenchError, match="no runtime 'third' that times onnx"):
        candidates(chosen, target, Choice(runtime="third"), Effort())
