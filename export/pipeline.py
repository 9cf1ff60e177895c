"""The whole export: networks x formats, each step a process, as many at once as fit.

Needs neither torch nor a converter. What is finished is published at once and stays, whatever
happens to the rest.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil

from export import artifact, child, verify
from export.artifact import ArtifactError, Manifest, Proof
from export.budget import Budget
from export.capturing import capture_file
from export.child import Children
from export.jobs import (
    PROGRAM_INFO,
    ConvertJob,
    CoremlInterface,
    Event,
    ProgramInfo,
    ProgramJob,
    Quantizing,
    VariantJob,
    encode,
)
from export.layers import choose
from export.precision import ExportError, Variant
from export.source import Source
from models.preprocess import Preprocessing

Outputs = dict[str, np.ndarray[Any, Any]]
# Runs an artifact on its golden inputs: the verdict, and what it computed where it ran.
Prover = Callable[[Path, Manifest], tuple[Proof, Outputs | None]]
# Runs one of our modules on a job file, as `child.run` does: its log, and what hears its events.
Runner = Callable[[Children, str, Path, Path, Callable[[Event], None]], None]
CONVERT, LOG = "export.convert", "convert.log"
# Resident memory of a converter: its libraries, and several copies of the weights.
CONVERTER_BYTES = 1_500_000_000
WEIGHT_COPIES = 8


@dataclass(frozen=True)
class Request:
    """What to export, where to, and how. `calibration` is data, random, or None: not needed;
    `quantizing.keep_float` are patterns of layers' names; `bake` has the words of ``--bake``.
    """

    sources: tuple[Source, ...]
    variants: tuple[Variant, ...]
    out: Path
    batch: int = 1
    data: str | None = None
    calibration: str | None = None
    images: int = 128
    quantizing: Quantizing = field(default_factory=Quantizing)
    preprocessing: Preprocessing | None = None
    bake: tuple[str, ...] = ()
    coreml: CoremlInterface = field(default_factory=CoremlInterface)
    jobs: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one artifact: a manifest, or an error with its exit code."""

    key: str
    seconds: float
    manifest: Manifest | None = None
    path: Path | None = None
    error: str | None = None
    exit_code: int = 0


@dataclass(frozen=True)
class Update:
    """A step of one artifact, or of a network (``name/*``): a line of progress.

    `lasting`: it tells something that a log should keep.
    """

    key: str
    stage: str
    lasting: bool = False


@dataclass
class _Run:
    """The state of one export that its threads share."""

    request: Request
    scratch: Path
    prove: Prover
    report: Callable[[Update | Outcome], None]
    runner: Runner
    children: Children

    def __post_init__(self) -> None:
        # One more than there are cores: a step waits for its proofs at times.
        slots = self.request.jobs or (os.cpu_count() or 1) + 1
        self.budget = Budget(slots, psutil.virtual_memory().available)
        # Converters may import their libraries beside the first program step, not in its place.
        self.ahead = slots - 1 if self.runner is child.run else 0

    def step(self, module: str, job: Path, log: Path, listen: Callable[[Event], None]) -> None:
        """Run a step to its end; see `child.run`."""
        self.runner(self.children, module, job, log, listen)


def export_all(
    request: Request,
    prove: Prover,
    report: Callable[[Update | Outcome], None],
    runner: Runner = child.run,
    children: Children | None = None,
) -> list[Outcome]:
    """Export everything asked for; `report` is called from several threads as things happen.

    The steps are started by `children`, which stay open for more; None for some of its own.

    Raises:
        ArtifactError: the output directory cannot be written.
        KeyboardInterrupt: after all processes have ended; what was finished stays.
    """
    if children is None:
        with closing(Children()) as own:
            return export_all(request, prove, report, runner, own)
    with artifact.staging(request.out) as scratch:
        run = _Run(request, scratch, prove, report, runner, children)
        count = len(request.sources)
        with ThreadPoolExecutor(count) as networks, ThreadPoolExecutor(4 * count) as formats:
            futures = [networks.submit(_network, run, s, formats) for s in request.sources]
            try:
                return [outcome for future in futures for outcome in future.result()]
            except BaseException:
                children.stop()
                raise


@dataclass
class _Step:
    """One process of one network, as its threads see it: what it is for, and where it logs."""

    run: _Run
    network: str
    log: Path
    start: float = field(default_factory=time.monotonic)

    def lost(self, variants: Iterable[Variant], error: ArtifactError) -> list[Outcome]:
        """Return an outcome for each variant that the step, having died, leaves unmade."""
        return [self.failed(v.name, str(error), error.exit_code) for v in variants]

    def failed(self, variant: str, error: str, exit_code: int = 1) -> Outcome:
        """Report a variant, or "*" for the network, as failed.

        The log is kept where it can tell more than the error: the fault is not the user's input.
        """
        key = f"{self.network}/{variant}"
        if exit_code == 1:
            evidence = key.replace("*", "program") + artifact.FAILED
            _keep_log(self.run.request.out / evidence, self.log)
        return self.done(Outcome(key, self.seconds(), error=error, exit_code=exit_code))

    def done(self, outcome: Outcome) -> Outcome:
        """Report an outcome."""
        self.run.report(outcome)
        return outcome

    def seconds(self) -> float:
        """Return the time since the step began."""
        return time.monotonic() - self.start


def _keep_log(evidence: Path, log: Path) -> None:
    shutil.rmtree(evidence, ignore_errors=True)
    with suppress(OSError):  # a full disk must not hide what failed
        evidence.mkdir(parents=True)
        shutil.copyfile(log, evidence / log.name)


def _network(run: _Run, source: Source, pool: ThreadPoolExecutor) -> list[Outcome]:
    directory = run.scratch / source.name
    step = _Step(run, source.name, directory / "program.log")
    grouped = _by_format(run.request.variants)
    try:
        directory.mkdir()
        step.log.touch()
        _prepare(run, source, directory, list(grouped))
        info = _program(run, source, directory, step.log)
        kept = choose(run.request.quantizing.keep_float, info.layers)
        quantizing = msgspec.structs.replace(run.request.quantizing, keep_float=kept)
    except ArtifactError as error:
        return [step.failed("*", str(error), error.exit_code)]
    except OSError as error:
        return [step.failed("*", f"cannot write to {run.request.out}: {error.strerror}", 2)]
    tasks: list[Future[list[Outcome]]] = [
        pool.submit(_format, run, source.name, info, variants, quantizing)
        for variants in grouped.values()
    ]
    outcomes = [outcome for task in tasks for outcome in task.result()]
    shutil.rmtree(directory, ignore_errors=True)
    return outcomes


def _by_format(variants: Iterable[Variant]) -> dict[str, list[Variant]]:
    grouped: dict[str, list[Variant]] = {}
    for variant in variants:
        grouped.setdefault(variant.format, []).append(variant)
    return grouped


def _prepare(run: _Run, source: Source, directory: Path, formats: list[str]) -> None:
    """Make the formats' directories. Start the converters of the first network, which import their
    libraries while its program step has the processor to itself: the last first, as ONNX's needs
    least.
    """
    for name in formats:
        (directory / name).mkdir()
    if source is run.request.sources[0]:
        for name in formats[::-1][: run.ahead]:
            run.children.prepare(CONVERT, directory / name / LOG, name)


def _program(run: _Run, source: Source, directory: Path, log: Path) -> ProgramInfo:
    """Run the program step; return what it found."""
    failed: list[Event] = []

    def listen(event: Event) -> None:
        if event.event == "stage":
            run.report(Update(f"{source.name}/*", event.stage))
        elif event.event == "failed":
            failed.append(event)

    with run.budget.take(CONVERTER_BYTES):
        if source.kind == "python":
            run.report(Update(f"{source.name}/*", "capturing"))
            capture_file(run.children, source, directory / "captured.pt2", log)
        job = _write_job(
            directory / "program-job.json", _program_job(run.request, source, directory)
        )
        run.step("export.program", job, log, listen)
    if failed:
        raise ExportError(failed[0].error)
    return msgspec.json.decode((directory / PROGRAM_INFO).read_bytes(), type=ProgramInfo)


def _program_job(request: Request, source: Source, directory: Path) -> ProgramJob:
    return ProgramJob(
        source=source,
        directory=directory,
        batch=request.batch,
        data=request.data,
        calibration=request.calibration,
        images=request.images,
        method=request.quantizing.method,
        preprocessing=request.preprocessing,
        bake=request.bake,
    )


def _write_job(path: Path, job: ProgramJob | ConvertJob) -> Path:
    path.write_bytes(encode(job))
    return path


def _format(
    run: _Run, network: str, info: ProgramInfo, variants: list[Variant], quantizing: Quantizing
) -> list[Outcome]:
    """Convert to one format at all precisions, proving and publishing each file as it comes."""
    directory = run.scratch / network
    scratch = directory / variants[0].format
    step = _Step(run, network, scratch / LOG)
    pending = {variant.name: variant for variant in variants}
    outcomes: list[Outcome] = []

    def listen(event: Event) -> None:
        if event.event == "stage":
            run.report(Update(f"{network}/{event.variant}", event.stage))
        elif event.event in {"made", "failed"}:
            variant = pending.pop(event.variant)
            outcomes.append(_finish(step, info, variant, event))

    need = CONVERTER_BYTES + WEIGHT_COPIES * 4 * info.network.parameters
    with run.budget.take(need):
        try:
            job = _convert_job(directory, scratch, variants, quantizing, run.request.coreml)
            written = _write_job(scratch / "job.json", job)
            run.step(CONVERT, written, step.log, listen)
        except ArtifactError as error:
            outcomes += step.lost(pending.values(), error)
    return outcomes


def _convert_job(
    directory: Path,
    scratch: Path,
    variants: list[Variant],
    quantizing: Quantizing,
    coreml: CoremlInterface,
) -> ConvertJob:
    jobs = tuple(
        VariantJob(precision=v.precision.name, io=v.io, directory=scratch / v.name)
        for v in variants
    )
    return ConvertJob(
        format=variants[0].format,
        directory=directory,
        scratch=scratch,
        variants=jobs,
        quantizing=quantizing,
        coreml=coreml,
    )


def _finish(step: _Step, info: ProgramInfo, variant: Variant, event: Event) -> Outcome:
    """Prove a converted file and publish it, or keep the evidence of why not."""
    run = step.run
    if event.event == "failed":
        return step.failed(variant.name, event.error, event.exit_code or 1)
    run.report(Update(f"{step.network}/{variant.name}", "proving"))
    directory = run.scratch / step.network / variant.format / variant.name
    try:
        made = _manifest(info, variant, event, directory)
        manifest = _prove(run, made, event, directory)
        final = _place(run.request.out, manifest, directory)
    except OSError as problem:
        reason = f"cannot write to {run.request.out}: {problem.strerror}"
        return step.failed(variant.name, reason, exit_code=2)
    refuted = f"proof failed: {manifest.proof.reason}; the evidence is in {final}"
    error, code = (refuted, 1) if manifest.proof.verified is False else (None, 0)
    return step.done(Outcome(manifest.key, step.seconds(), manifest, final, error, code))


def _manifest(info: ProgramInfo, variant: Variant, event: Event, directory: Path) -> Manifest:
    assert event.contract is not None
    assert event.quantization is not None
    files = artifact.list_files(directory)
    return Manifest(
        schema=artifact.SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        network=info.network,
        format=variant.format,  # type: ignore[arg-type]
        precision=variant.precision.name,  # type: ignore[arg-type]
        quantization=event.quantization,
        computation=event.computation,
        contract=event.contract,
        size_bytes=artifact.model_bytes(files),
        files=files,
        golden=info.golden,
        tools=event.tools,
        proof=Proof(verified=None, reason="not run yet"),
    )


def _prove(run: _Run, manifest: Manifest, event: Event, directory: Path) -> Manifest:
    artifact.write_manifest(directory, manifest)
    proof, outputs = run.prove(directory, manifest)
    proof = verify.judged(verify.checked(proof, event.checks), event.constants)
    if proof.verified is False and outputs is not None:
        np.savez_compressed(directory / "outputs.npz", **outputs)  # type: ignore[arg-type]
    proved = msgspec.structs.replace(manifest, proof=proof)
    artifact.write_manifest(directory, proved)
    return proved


def _place(out: Path, manifest: Manifest, directory: Path) -> Path:
    """Move an artifact to its place, or beside it if its proof failed; return where it is."""
    final = out / manifest.key
    failed = artifact.failed(final)
    if manifest.proof.verified is False:
        artifact.publish(directory, failed)
        return failed
    artifact.publish(directory, final)
    shutil.rmtree(failed, ignore_errors=True)
    return final
