"""``edgeworthy export --auto``: an accuracy budget, met by layers that stay float.

Every quantized file is asked the test images of --data, in a worker on this machine, as is the
float network. An int8 file that lost too much is made again with the layers in float that cost
most, as few as will do.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from bench.accuracy import AccuracyTest
from devices.device import Job, WorkerError
from devices.local import LocalDevice
from export import artifact, original, trace, verify
from export.artifact import Manifest, Retained
from export.auto import by_noise, fewest
from export.cli_prove import prove_elsewhere
from export.diagnose import Diagnoser
from export.pipeline import Outcome, Request, Update
from export.precision import PRECISIONS, ExportError, Variant
from export.reference import Reference
from export.source import Source
from models.data import open_dataset

# Exports what a request asks for, quietly.
Exporter = Callable[[Request], list[Outcome]]
# Golden inputs that layers are put in order by: each costs two runs of the network a layer.
ORDERING_ROWS = 8
FLOAT = Variant("torch", PRECISIONS["fp32"])


@dataclass(frozen=True)
class Budget:
    """At most `drop` points of top-1 lost, on so many test images; `mend`: by layers in float."""

    drop: float
    images: int
    mend: bool


@contextmanager
def budgeting(
    request: Request,
    budget: Budget,
    report: Callable[[Update | Outcome], None],
    export: Exporter,
) -> Iterator["Budgeting"]:
    """Give what holds outcomes to a budget; its scratch files are gone afterwards."""
    assert request.data is not None
    images = open_dataset(request.data, "test")
    chosen = images.sample(min(budget.images, len(images)), 0)
    with artifact.staging(request.out) as scratch:
        folder = scratch / "images"
        folder.mkdir()
        test = AccuracyTest(chosen, folder)
        yield Budgeting(request, budget, report, scratch, test, export)


@dataclass
class Budgeting:
    """Measures outcomes against a budget, and mends those that miss it."""

    request: Request
    budget: Budget
    report: Callable[[Update | Outcome], None]
    scratch: Path
    test: AccuracyTest
    export: Exporter
    _made: int = 0
    _float: dict[str, float] = field(default_factory=dict)

    def hold(self, outcome: Outcome) -> Outcome:
        """Return the outcome with its accuracy, mended if it may be and has to be.

        A file in float32 is returned as it is, and one that failed, unless it is an int8 file
        whose proof failed: that is mended, too.
        """
        made, path = outcome.manifest, outcome.path
        if made is None or path is None or made.precision == "fp32":
            return outcome
        mendable = self.budget.mend and made.precision == "int8"
        if outcome.error and not mendable:
            return outcome
        self.report(Update(outcome.key, "measuring accuracy"))
        try:
            retained = self._retained(path, made)
            if mendable and (outcome.error or retained.drop > self.budget.drop):
                return self._mended(outcome, made, path, retained)
        except (WorkerError, ExportError) as error:
            before = f"{outcome.error}; " if outcome.error else ""
            return _refused(outcome, path, f"{before}its accuracy was not measured: {error}")
        return self._kept(outcome, made, path, retained)

    def _retained(self, directory: Path, manifest: Manifest) -> Retained:
        misfit = self.test.misfit(manifest)
        if misfit:
            raise ExportError(misfit)
        name = manifest.network.name
        if name not in self._float:
            beside = self._export(self._source(name), FLOAT, (), self.scratch / "float")
            assert beside.manifest is not None
            assert beside.path is not None
            self._float[name] = self._top1(beside.path, beside.manifest)
        return Retained(
            dataset=self.test.images.name,
            images=len(self.test.images),
            top1=self._top1(directory, manifest),
            float_top1=self._float[name],
            budget=self.budget.drop,
        )

    def _top1(self, directory: Path, manifest: Manifest) -> float:
        device = LocalDevice()
        runtime, batch = device.runtimes(manifest.format)[0], manifest.contract.inputs[0].shape[0]
        session = device.open(Job(artifact=directory, runtime=runtime, threads=1, batch=batch))
        try:
            return self.test.measure(session, manifest).top1
        finally:
            session.close()

    def _mended(self, outcome: Outcome, made: Manifest, path: Path, before: Retained) -> Outcome:
        """Keep layers in float, those first whose own error does most to the output."""
        name, variant = made.network.name, self._variant(made)
        order = self._order(name, path, made)
        tried: dict[tuple[str, ...], tuple[Outcome, Retained]] = {}

        def good(kept: tuple[str, ...]) -> bool:
            self.report(Update(outcome.key, f"trying {len(kept)} layers in float"))
            again = self._export(self._source(name), variant, kept, self._place())
            if again.manifest is None or again.path is None:
                raise ExportError(f"with {', '.join(kept)} in float: {again.error}")
            retained = self._retained(again.path, again.manifest)
            tried[kept] = again, retained
            self._tell(again.key, kept, again, retained)
            return not again.error and retained.drop <= self.budget.drop

        kept = fewest(order, good)
        if kept is None:
            return self._kept(outcome, made, path, before)
        again, retained = tried[kept]
        assert again.manifest is not None
        assert again.path is not None
        final = self.request.out / made.key
        artifact.publish(again.path, final)
        if path != final:
            shutil.rmtree(path)
        also = prove_elsewhere(final, again.manifest)
        proof = msgspec.structs.replace(again.manifest.proof, also=also)
        manifest = msgspec.structs.replace(again.manifest, proof=proof)
        mended = replace(outcome, manifest=manifest, path=final, error=None, exit_code=0)
        return self._kept(mended, manifest, final, retained)

    def _tell(self, key: str, kept: tuple[str, ...], again: Outcome, retained: Retained) -> None:
        proof = ", proof failed" if again.error else ""
        text = f"{', '.join(kept)} in float: top-1 {100 * retained.top1:.2f} %{proof}"
        self.report(Update(key, text, lasting=True))

    def _order(self, name: str, path: Path, made: Manifest) -> list[str]:
        """Diagnose the file, and return its layers as `by_noise` orders them."""
        beside = self.scratch / "float" / name / made.variant
        shutil.copytree(path, beside)
        reference = Reference(original.find(beside, made).program)
        batch = made.contract.inputs[0].shape[0]
        diagnoser = Diagnoser(reference, trace.load(beside, made), batch)
        given, _ = verify.golden(beside, made)
        rows = verify.comparable_rows(made)[:ORDERING_ROWS]
        inputs = [original.relaid(given[t.name][rows], t) for t in made.contract.inputs]
        diagnosis = diagnoser.run([np.asarray(array) for array in inputs], lambda *_: None)
        return by_noise(diagnosis)

    def _kept(self, outcome: Outcome, made: Manifest, path: Path, retained: Retained) -> Outcome:
        """Write the accuracy into the manifest, and say if the budget was missed."""
        manifest = msgspec.structs.replace(made, retained=retained)
        artifact.write_manifest(path, manifest)
        kept = replace(outcome, manifest=manifest)
        if outcome.error or retained.drop <= self.budget.drop:
            return kept
        lost = f"it loses {retained.drop:.2f} points of top-1, at most {self.budget.drop:g} were"
        return _refused(kept, path, f"{lost} allowed; {self._advice(made)}")

    def _advice(self, made: Manifest) -> str:
        if self.budget.mend and made.precision == "int8":
            return "no choice of layers in float mends that: try --precision fp16"
        mend = "--auto, " if made.precision == "int8" else ""
        return f"try {mend}more --images, or 'edgeworthy export diagnose'"

    def _export(
        self, source: Source, variant: Variant, kept: tuple[str, ...], out: Path
    ) -> Outcome:
        quantizing = msgspec.structs.replace(self.request.quantizing, keep_float=kept)
        request = replace(
            self.request, sources=(source,), variants=(variant,), out=out, quantizing=quantizing
        )
        (outcome,) = self.export(request)
        return outcome

    def _source(self, name: str) -> Source:
        return next(s for s in self.request.sources if s.name == name)

    def _variant(self, made: Manifest) -> Variant:
        return next(v for v in self.request.variants if v.name == made.variant)

    def _place(self) -> Path:
        self._made += 1
        return self.scratch / str(self._made)


def _refused(outcome: Outcome, path: Path, error: str) -> Outcome:
    """Put a file aside as evidence, as one whose proof failed, and say why."""
    if path.name.endswith(artifact.FAILED):
        return replace(outcome, error=error, exit_code=1)
    aside = artifact.failed(path)
    artifact.publish(path, aside)
    told = f"{error}; the evidence is in {aside}"
    return replace(outcome, path=aside, error=told, exit_code=1)
