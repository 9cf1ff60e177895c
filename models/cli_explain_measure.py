"""The two forms of a block timed on this machine, by the worker that times every artifact."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.matrix import Cell
    from bench.record import Record
    from models.explain import Block

SECONDS = 8.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Timing:
    """Latencies in nanoseconds, the ratio of cheap to plain with its 95 % interval, and how."""

    plain_ns: float
    cheap_ns: float
    ratio: float
    low: float
    high: float
    runtime: str
    cautions: tuple[str, ...]


class NotMeasuredError(Exception):
    """There is no latency to give; the message says why."""


@dataclass
class _Listener:
    """Keeps the records, and says what is measured."""

    say: Say
    records: "dict[str, Record]"
    said: set[str] = field(default_factory=set)

    def progress(self, cell: "Cell", stage: str, rounds: Sequence[Sequence[int]]) -> None:
        """Say which form is at which step when it is there first: it is one process of many."""
        line = f"{cell.artifact.manifest.network.name}: {stage}"
        if line not in self.said:
            self.said.add(line)
            self.say(line)

    def record(self, cell: "Cell", record: "Record") -> None:
        """Keep a finished record."""
        self.records[record.manifest.network.name] = record


def measure(block: "Block", say: Say) -> Timing:
    """Export both forms, prove them, and time them in interleaved rounds on one thread.

    Raises:
        NotMeasuredError: there is no runtime, or an export or a measurement failed.
    """
    from bench.compare import compare
    from bench.verdict import verdict
    from devices import scratch

    with scratch.directory() as directory:
        _export(block, _format(), directory, say)
        records = _run(directory / "artifacts", say)
    plain, cheap = (records[form.key] for form in block.forms)
    words = {form.title: verdict(records[form.key]).word for form in block.forms}
    for record in (plain, cheap):
        if record.failure:
            raise NotMeasuredError(f"{record.failure.cause}: {record.failure.detail}")
    found = compare(plain, cheap)
    if found.time is None:
        raise NotMeasuredError("; ".join(found.incomparable))
    return Timing(
        plain_ns=found.a_ns,
        cheap_ns=found.b_ns,
        ratio=found.time.value,
        low=found.time.low,
        high=found.time.high,
        runtime=plain.settings.runtime_version or plain.settings.runtime,
        cautions=tuple(f"{t}: {word}" for t, word in words.items() if word != "valid"),
    )


def _format() -> str:
    """Return ONNX where it can be made and run, else the torch program itself."""
    from devices.local import LocalDevice

    makers = ("onnx", "onnxscript", "onnxruntime")
    return "onnx" if all(map(find_spec, makers)) and LocalDevice().runtimes("onnx") else "torch"


def _export(block: "Block", format: str, directory: Path, say: Say) -> None:
    import torch

    from export.capture import capture, save
    from export.cli_prove import prove
    from export.pipeline import Request, Update, export_all
    from export.precision import plan
    from export.source import Source

    sources = []
    for form in block.forms:
        path = directory / f"{form.key}.pt2"
        torch.manual_seed(0)
        save(capture(form.make(), [block.shape]), path)
        sources.append(Source(kind="pt2", name=form.key, path=path))

    def report(news: Any) -> None:
        if isinstance(news, Update):
            say(f"{news.key}: {news.stage}")

    variants = plan([format], ["fp32"])
    request = Request(tuple(sources), tuple(variants), directory / "artifacts")
    for outcome in export_all(request, prove, report):
        if outcome.error:
            raise NotMeasuredError(outcome.error)


def _run(artifacts: Path, say: Say) -> "dict[str, Record]":
    from bench import matrix, options
    from bench.run import run_matrix
    from devices.local import LocalDevice

    targets = matrix.describe([LocalDevice()])
    effort = matrix.Effort(max_seconds=SECONDS, processes=options.PROCESSES)
    cells = matrix.plan(matrix.select(artifacts, []), targets, matrix.Choice(), effort)
    listener = _Listener(say, {})
    with options.held(targets[0].device, options.WAIT_S):
        run_matrix(cells, listener)
    return listener.records
