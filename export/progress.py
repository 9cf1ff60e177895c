"""What an export shows: a line for each file while it runs, a table when it is done."""

import fnmatch
import io
import shutil
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from export.artifact import Manifest, doubts
from export.pipeline import Outcome, Update
from export.verify import EXACT_DB

# Bytes of the fp32 file by network and format.
Sizes = dict[tuple[str, str], int]


class Lines:
    """A plain line for each finished file on stderr, for logs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, event: Update | Outcome) -> None:
        """Print an outcome; steps are passed over."""
        if isinstance(event, Outcome):
            with self._lock:
                print(f"{event.key}: {ending(event)} ({event.seconds:.0f} s)", file=sys.stderr)  # noqa: T201


class Live:
    """A moving line for each file on a terminal."""

    def __init__(self, keys: list[str]) -> None:
        self._bar = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            TextColumn("{task.fields[stage]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {
            key: self._bar.add_task(key, total=1, start=False, stage="waiting") for key in keys
        }

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Update | Outcome) -> None:
        """Show a step or an outcome; a network's own steps show on all of its lines."""
        done = isinstance(event, Outcome)
        text = ending(event) if isinstance(event, Outcome) else f"[dim]{event.stage}[/dim]"
        for key in fnmatch.filter(self._tasks, event.key):
            self._bar.start_task(self._tasks[key])
            self._bar.update(self._tasks[key], stage=text, completed=int(done))


def ending(outcome: Outcome) -> str:
    """Return an outcome as a phrase: the size and the proof, or the error."""
    if outcome.error or outcome.manifest is None:
        return f"FAILED: {outcome.error}"
    return f"{size(outcome.manifest.size_bytes)}, {proof(outcome.manifest)}"


def size(count: int) -> str:
    """Return bytes in decimal units with three digits or so: ``884 kB``, ``1.92 MB``."""
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB" if count >= 100_000 else f"{count / 1000:.1f} kB"
    return f"{count / 1e6:.0f} MB" if count >= 100_000_000 else f"{count / 1e6:.2f} MB"


def proof(manifest: Manifest) -> str:
    """Return what the proof showed, in words."""
    found = manifest.proof
    if found.verified is None:
        return f"unproved: {found.reason}"
    if not found.verified:
        return "proof failed"
    worst = min(found.outputs, key=lambda error: error.psnr_db)
    level = "exact" if worst.psnr_db >= EXACT_DB else f"PSNR {worst.psnr_db:.0f} dB"
    agreed = "" if worst.top1 is None else f", top-1 {worst.top1:.0%} of {worst.decided}"
    weak = ", but the original hardly varies" if worst.cosine is None else ""
    word = "verified (emulated)" if found.emulated else "proved"
    return f"{word}: {level}{agreed}{weak}"


def notes(manifests: list[Manifest]) -> list[str]:
    """Return what a reader must know: random weights or calibration, int8 that does not pay."""
    random = sorted({m.network.name for m in manifests if m.network.weights.origin == "random"})
    noisy = [
        m.key
        for m in manifests
        if m.quantization.calibration and m.quantization.calibration.source == "random"
    ]
    lines = []
    if random:
        lines.append(
            f"random weights: {', '.join(random)} (right for size and speed; --weights FILE)"
        )
    if noisy:
        lines.append(f"random calibration: {', '.join(noisy)} (right for size and speed; --data)")
    for doubt, keys in _calibration_doubts(manifests).items():
        lines.append(f"calibration of {', '.join(keys)}: {doubt}")
    return [*lines, *_retained(manifests), *doubts(manifests), *_portability(manifests)]


def _retained(manifests: list[Manifest]) -> Iterator[str]:
    """Say how much accuracy is left, and which layers stay float."""
    for manifest in manifests:
        kept, found = manifest.quantization.kept_float, manifest.retained
        said = [f"{', '.join(kept)} in float"] if kept else []
        if found:
            said.append(
                f"top-1 {100 * found.top1:.2f} %, the float network's {100 * found.float_top1:.2f} "
                f"%, on {found.images:,} test images of {found.dataset}"
            )
        if said:
            yield f"{manifest.key}: {'; '.join(said)}"


def _calibration_doubts(manifests: list[Manifest]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for manifest in manifests:
        described = manifest.quantization.calibration
        for doubt in described.doubts if described else ():
            found.setdefault(doubt, []).append(manifest.key)
    return found


def _portability(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        for other in manifest.proof.also:
            if other.verified is False:
                yield f"not portable: {manifest.key}: {other.runtime}: {other.reason}"


def table(outcomes: list[Outcome]) -> str:
    """Return the outcomes as a table, and below it the notes and the errors in full."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("artifact", overflow="fold")
    shown.add_column("size", justify="right")
    shown.add_column("of fp32", justify="right")
    shown.add_column("time", justify="right")
    shown.add_column("proof", overflow="fold")
    base: Sizes = {
        (o.manifest.network.name, o.manifest.format): o.manifest.size_bytes
        for o in outcomes
        if o.manifest and o.manifest.precision == "fp32"
    }
    for outcome in outcomes:
        shown.add_row(*_row(outcome, base))
    manifests = [o.manifest for o in outcomes if o.manifest and not o.error]
    lines = [f"note: {line}" for line in notes(manifests)]
    lines += [f"error: {line}" for line in dict.fromkeys(_errors(outcomes))]
    return _render(shown) + "".join(f"{line}\n" for line in lines)


def _row(outcome: Outcome, base: Sizes) -> tuple[str, ...]:
    took = f"{outcome.seconds:.0f} s"
    if outcome.manifest is None or outcome.error:
        return (outcome.key, "", "", took, "FAILED")
    made = outcome.manifest
    whole = base.get((made.network.name, made.format))
    share = f"{made.size_bytes / whole:.0%}" if whole else ""
    return (outcome.key, size(made.size_bytes), share, took, proof(made))


def _errors(outcomes: list[Outcome]) -> list[str]:
    by_error: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.error:
            by_error.setdefault(outcome.error, []).append(outcome.key)
    return [f"{', '.join(keys)}: {error}" for error, keys in by_error.items()]


def _render(shown: Table) -> str:
    text = io.StringIO()
    width = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 120
    Console(file=text, width=width, force_terminal=sys.stdout.isatty()).print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def as_json(outcomes: list[Outcome]) -> str:
    """Return the outcomes as a JSON array: key, path, size, proof, error."""
    rows: list[dict[str, Any]] = [
        {
            "artifact": o.key,
            "path": str(o.path) if o.path else None,
            "size_bytes": o.manifest.size_bytes if o.manifest else None,
            "proof": o.manifest.proof if o.manifest else None,
            "seconds": round(o.seconds, 2),
            "error": o.error,
        }
        for o in outcomes
    ]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()
