"""The exact clock on the real emulator: the same instructions in every run."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace

from bench.baseline import model_sha256
from bench.exact import MEMORY
from bench.record_file import read
from bench.verdict import verdict
from devices import bundle, counter, exact
from devices.device import ConfigError, DeviceError, Job, WorkerError
from devices.registry import find, parse
from export.artifact import list_files, model_bytes, read_manifest, write_manifest
from tests import tiny
from tests.devices.exactly import elsewhere, needs_exact, set_up

pytestmark = [pytest.mark.hosts, pytest.mark.slow, needs_exact]
RUN = ("bench", "run", "--device", "arm64-exact")
BUDGET = """
[[budget]]
artifact = "*"
device = "arm64-exact"
max-latency-growth = "0.1%"
"""
LISTING = "import os, sys; print(*os.listdir(sys.argv[1]))"
COUNTED = Path(__file__).parents[1] / "data" / "counted-2026-11-22.jsonl"
COUNTED_BY = "16ff90fc3fb05c93"
FORMATS = {"tflite": "litert", "onnx": "onnxruntime"}


@pytest.fixture(scope="session")
def device():
    return set_up()


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    root = tmp_path_factory.mktemp("exact")
    tiny.tiny_tflite(root)
    tiny.tiny_onnx(root)
    return root


def job(artifacts, format="tflite", **settings):
    path = artifacts / "tiny" / f"{format}-fp32"
    return Job(artifact=path, runtime=FORMATS[format], **{"threads": 1, **settings})


def figures(session):
    """Return everything that is counted in one worker's life, and end it."""
    try:
        ready = session.ready
        first = session.measure(1)
        session.verify()
        return ready.import_ns, ready.load_ns, first, session.measure(30)
    finally:
        session.close()


@pytest.fixture
def load():
    """Keep more processes busy than there are cores."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    yield
    for process in busy:
        process.kill()
        process.wait()


class TestCounting:
    @pytest.mark.parametrize("format", FORMATS)
    def test_two_workers_count_the_same_to_the_last_instruction(self, device, artifacts, format):
        one = figures(device.open(job(artifacts, format)))
        assert figures(device.open(job(artifacts, format))) == one

    @pytest.mark.parametrize("format", FORMATS)
    def test_other_work_on_the_machine_changes_nothing(self, device, artifacts, format, request):
        alone = figures(device.open(job(artifacts, format)))
        request.getfixturevalue("load")
        assert figures(device.open(job(artifacts, format))) == alone

    def test_directories_are_listed_by_name_wherever_they_lie(self, device, tmp_path):
        names = [f"{number * 7919 % 1000:03}" for number in range(300)]
        for name in names:
            (tmp_path / name).touch()
        found = exact.parts()
        of_python = [*bundle.command(str(found.bundle.path)), "-c", LISTING, str(tmp_path)]
        emulated = [found.emulator.program, "-U", "LD_PRELOAD", "-plugin", f"{found.plugin},fd=200"]
        environment = {
            **bundle.environment(str(found.bundle.path)),
            "LD_PRELOAD": found.plugin,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        listed = subprocess.check_output([*emulated, *of_python], env=environment, text=True)
        assert listed.split() == sorted(names)

    def test_an_invocation_is_more_than_the_work_and_less_than_all(self, device, artifacts):
        import_ns, load_ns, (first,), samples = figures(device.open(job(artifacts)))
        macs = 4 * 9 * 36
        assert macs / 16 < min(samples) < first < load_ns < import_ns

    def test_a_whole_batch_takes_more(self, device, artifacts):
        one = figures(device.open(job(artifacts, "onnx")))[-1]
        eight = figures(device.open(job(artifacts, "onnx", batch=8)))[-1]
        assert min(eight) > max(one)

    def test_a_processor_with_other_instructions_computes_the_same(self, device, artifacts):
        newer = set_up("cortex-a76")
        session = newer.open(job(artifacts))
        found = session.verify()["logits"]
        session.close()
        np.testing.assert_allclose(found, tiny.forward(tiny.images()), atol=1e-4)
        assert newer.info().fingerprint != device.info().fingerprint


class TestDescription:
    def test_it_is_emulated_and_says_what_it_counts(self, device):
        info = device.info()
        assert (info.emulated, info.counts) == (True, "instructions")
        assert info.facts["processor"] == "cortex-a72, emulated"

    def test_the_host_shows_in_no_figure(self, device, artifacts):
        session = device.open(job(artifacts))
        session.measure(2)
        assert session.usage is None
        assert (session.memory().after_run, session.memory().series) == (None, ())
        assert (session.sensors().load, session.meters().meters) == (None, ())
        assert session.ready.start_ns is None
        assert session.ready.environment["machine"] == "aarch64"
        session.close()

    def test_it_says_how_an_invocation_is_timed(self, device, artifacts):
        session = device.open(job(artifacts))
        session.close()
        version = counter.emulator().version
        assert session.ready.timing == (
            f"1 ns for each of the instructions executed, cortex-a72 by qemu-aarch64 {version}"
        )

    def test_streams_are_refused(self, device, artifacts):
        session = device.open(job(artifacts))
        with pytest.raises(WorkerError, match="measure several on hardware"):
            session.streams(2)
        session.close()


class TestEnd:
    def test_nothing_is_left_behind(self, device, artifacts, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        session = device.open(job(artifacts))
        assert [path.name.startswith("edgeworthy-") for path in tmp_path.iterdir()] == [True]
        session.close()
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_cannot_be_loaded_leaves_nothing_behind(
        self, device, artifacts, tmp_path, monkeypatch
    ):
        damaged = tmp_path / "damaged"
        shutil.copytree(artifacts / "tiny" / "tflite-fp32", damaged)
        (damaged / "model.tflite").write_bytes(b"cut")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(scratch))
        with pytest.raises(WorkerError, match="does not match the sha256"):
            device.open(Job(artifact=damaged, runtime="litert", threads=1))
        assert list(scratch.iterdir()) == []

    def test_a_place_that_cannot_be_written_to_is_one_line(
        self, device, artifacts, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
        with pytest.raises(WorkerError, match=r"cannot copy it to .*nowhere.*set TMPDIR to"):
            device.open(job(artifacts))


class TestSetUp:
    def test_it_is_found_by_name_without_an_entry(self, device, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert find("arm64-exact").info().counts == "instructions"

    def test_an_entry_chooses_the_processor(self):
        text = '[devices.pi5]\nkind = "arm64-exact"\ncpu = "cortex-a76"\n'
        assert parse(text, "devices.toml")["pi5"].device.cpu == "cortex-a76"

    def test_a_processor_that_was_not_verified_is_refused(self):
        text = '[devices.pi]\nkind = "arm64-exact"\ncpu = "max"\n'
        with pytest.raises(ConfigError, match="no cpu 'max'; there is: cortex-a53, cortex-a72"):
            parse(text, "devices.toml")

    def test_without_its_parts_it_names_the_command(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(DeviceError, match=r"type 'edgeworthy devices add .* arm64-exact'"):
            exact.parts()

    @pytest.mark.parametrize("program", ["qemu-aarch64", "cc"])
    def test_a_missing_program_is_named_with_its_package(self, program, monkeypatch, tmp_path):
        for other in {"qemu-aarch64", "cc", "env", "setpriv"} - {program}:
            (tmp_path / other).symlink_to(counter.tool(other))
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        with pytest.raises(DeviceError, match=f"{program} is not installed: type 'apt install"):
            exact.prepare(exact.Settings(), print)

    def test_a_second_time_makes_nothing_anew(self, device):
        before = bundle.cached()
        told = []
        exact.prepare(exact.Settings(), told.append)
        assert bundle.cached() == before
        assert [line.split()[0] for line in told] == ["ai_edge_litert", "onnxruntime"]


class TestRuns:
    """The command, on trained networks: two runs are as good as a day apart."""

    @pytest.fixture(scope="class")
    def runs(self, device, cli, trained, tmp_path_factory):
        here, there = (tmp_path_factory.mktemp(name) for name in ("here", "in another place"))
        networks = [f"lenet5*/{form}-{how}" for form in FORMATS for how in ("fp32", "int8")]
        chosen = [word for name in networks for word in ("--artifact", name)]
        found = []
        for where, environment in ((here, {}), (there, elsewhere(there))):
            arguments = (*RUN, "--artifacts-dir", trained, *chosen, "--out", where / "r.jsonl")
            done = cli(*arguments, cwd=where, env=environment)
            assert done.returncode == 0, done.stderr
            found.append(list(read(where / "r.jsonl")))
        return here, there, found

    def test_both_hold_every_network_proved_and_exact(self, runs):
        for records in runs[2]:
            assert len(records) == 4
            assert all(record.proof.verified for record in records)
            assert all(verdict(record).exact for record in records)

    def test_they_are_identical_to_the_instruction(self, runs):
        one, other = ({r.manifest.key: r.rounds for r in records} for records in runs[2])
        assert one == other

    def test_compare_says_so(self, runs, cli):
        here, there, _ = runs
        done = cli("bench", "compare", here / "r.jsonl", there / "r.jsonl")
        assert done.stdout.count(" identical ") == 4
        assert done.returncode == 0


class TestAnotherDay:
    def test_a_machine_of_another_day_counted_the_same(self, device, cli, artifacts, tmp_path):
        done = cli(*RUN, "--artifacts-dir", artifacts, "--out", tmp_path / "now.jsonl")
        assert done.returncode == 0, done.stderr
        now = {record.manifest.key: record for record in read(tmp_path / "now.jsonl")}
        then = {record.manifest.key: record for record in read(COUNTED)}
        assert now.keys() == then.keys()
        alike = [key for key in now if same_parts(then[key]) == same_parts(now[key])]
        if not alike:
            pytest.skip("the emulator, the bundle or the files are others than in that record")
        # Another worker leaves other blocks of memory free: see docs/exact.md.
        most = 0 if of_worker() == COUNTED_BY else MEMORY
        for key in alike:
            differences = np.subtract(now[key].rounds, then[key].rounds)
            assert np.abs(differences).max() <= most, key


def same_parts(record):
    """Return what must be the same for counts to be."""
    return record.device.fingerprint, model_sha256(record.manifest), record.settings.runtime_version


def of_worker():
    """Return a hash of all of ours that a count depends on."""
    sources = [exact.WORKER, counter.SOURCE]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


class TestGate:
    """A gate on one network, then on the same with one small operator more."""

    @pytest.fixture(scope="class")
    def place(self, device, tmp_path_factory):
        place = tmp_path_factory.mktemp("gate")
        tiny.tiny_onnx(place / "artifacts")
        (place / "edgeworthy.toml").write_text(BUDGET)
        return place

    def checked(self, cli, place):
        measured = cli(*RUN, cwd=place)
        assert measured.returncode == 0, measured.stderr
        return cli("bench", "check", cwd=place)

    def test_an_unchanged_network_is_identical(self, cli, place):
        assert cli(*RUN, cwd=place).returncode == 0
        records = ("--records", "results/records.jsonl")
        assert cli("bench", "baseline", *records, cwd=place).returncode == 0
        done = self.checked(cli, place)
        assert done.returncode == 0, done.stdout
        assert "identical" in done.stdout

    def test_one_small_operator_more_fails(self, cli, place):
        lengthen(place / "artifacts" / "tiny" / "onnx-fp32")
        done = self.checked(cli, place)
        assert done.returncode == 1, done.stdout
        grown = re.findall(r"instructions against [\d,]+: \+([\d.]+) %", done.stdout)
        assert [0.1 < float(share) < 20 for share in grown] == [True], done.stdout


def lengthen(artifact):
    """Take the magnitude of what is positive anyway: 144 numbers, and the same answers."""
    model = onnx.load(artifact / "model.onnx")
    number = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Relu")
    further = onnx.helper.make_node("Abs", ["relu"], ["magnitude"])
    model.graph.node.insert(number + 1, further)
    model.graph.node[number + 2].input[0] = "magnitude"
    onnx.save(model, artifact / "model.onnx")
    files = list_files(artifact)
    manifest = replace(read_manifest(artifact), files=files, size_bytes=model_bytes(files))
    write_manifest(artifact, manifest)
