"""A diagnosis in words and as data: the table, the advice, the summary."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from export.artifact import Manifest
from export.causes import SOUND_DB, Cause, Setting, find, is_sound
from export.diagnose import Diagnosis, Found
from export.reference import readers
from export.verify import EXACT_DB
from models.table import table

WIDTH = 80
NOT_ALIGNED = "not aligned"


@dataclass(frozen=True)
class Report:
    """A diagnosis of an artifact, with what it was compared with, and on which inputs."""

    manifest: Manifest
    diagnosis: Diagnosis
    origin: str
    inputs: str

    @property
    def setting(self) -> Setting:
        """How the artifact was made."""
        calibration = self.manifest.quantization.calibration
        return Setting(
            self.manifest.precision,
            self.manifest.format,
            calibration.method if calibration else None,
            calibration.images if calibration else None,
        )

    def causes(self, found: Found) -> list[Cause]:
        """Return why a layer is weak."""
        layers = [other.pair.layer for other in self.diagnosis.layers]
        return find(found, self.setting, readers(found.pair.layer, layers))


def as_data(report: Report) -> dict[str, Any]:
    """Return everything as plain data, the layers in rank order."""
    order = {f.pair.layer.name: n for n, f in enumerate(report.diagnosis.layers)}
    return {
        "artifact": report.manifest.key,
        "reference": report.origin,
        "inputs": report.diagnosis.inputs,
        "inputs_from": report.inputs,
        "output_snr_db": _rounded(report.diagnosis.output_db),
        "sound_snr_db": SOUND_DB[report.manifest.precision],
        "layers": [_layer(report, f, order[f.pair.layer.name]) for f in report.diagnosis.ranked],
    }


def _layer(report: Report, found: Found, number: int) -> dict[str, Any]:
    name, tally = found.pair.layer.name, found.tally
    return {
        "layer": name,
        "kind": found.pair.layer.kind,
        "number": number,
        "aligned": tally is not None,
        "own_snr_db": _rounded(tally.own_db) if tally else None,
        "so_far_snr_db": _rounded(tally.so_far_db) if tally else None,
        "weights_share": round(tally.share(tally.weight_noise), 4) if tally else None,
        "clipped_share": round(tally.clipped_share, 6) if tally else None,
        "at_output_snr_db": _rounded(found.output_db),
        "output_noise_share": round(report.diagnosis.share(found), 4),
        "causes": [asdict(cause) for cause in report.causes(found)],
    }


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def as_text(report: Report, most: int | None) -> str:
    """Return the table of the worst `most` layers (None: all), advice, and the summary."""
    ranked = report.diagnosis.ranked
    shown = ranked[:most]
    rows = [_row(report, found) for found in shown]
    headings = ["layer", "kind", "own", "at output", "so far", "cause"]
    parts = [table(headings, rows, left={0, 1, 5})]
    left = len(ranked) - len(shown)
    if left:
        parts.append(f"... {left} more, --all lists them")
    parts += [_advice(report, found) for found in shown if report.causes(found)]
    return "\n\n".join([*parts, "\n".join(map(_folded, _summary(report)))])


def _row(report: Report, found: Found) -> list[str]:
    layer, tally = found.pair.layer, found.tally
    if tally is None:
        return [layer.name, _kind(layer.kind), "", "", "", NOT_ALIGNED]
    causes = report.causes(found)
    return [
        layer.name,
        _kind(layer.kind),
        _decibels(tally.own_db),
        _decibels(found.output_db),
        _decibels(tally.so_far_db),
        causes[0].name if causes else "",
    ]


def _kind(kind: str) -> str:
    short = kind.replace("depthwise", "dw").replace("_", " ").replace("2d", "")
    return short.replace("adaptive ", "").strip()


def _decibels(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= EXACT_DB:
        return "exact" if value > 0 else "not finite"
    return f"{value:.1f}"


def _level(value: float | None) -> str:
    shown = _decibels(value)
    return f"{shown} dB" if shown[-1].isdigit() else shown


def _advice(report: Report, found: Found) -> str:
    name = found.pair.layer.name
    lines = [f"{name}: {c.name}: {c.told}\n  try: {c.remedy}" for c in report.causes(found)]
    return "\n".join(_folded(line) for whole in lines for line in whole.split("\n"))


def _folded(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _summary(report: Report) -> list[str]:
    diagnosis = report.diagnosis
    lines = [
        _worst(report),
        f"output: {_level(diagnosis.output_db)} over {diagnosis.inputs} inputs "
        f"({report.inputs}), against {report.origin}",
        "own: error of the layer alone; at output: what that does there; so far: with what "
        "it inherits; in dB",
    ]
    if missing := sum(found.tally is None for found in diagnosis.layers):
        lines.insert(1, f"{missing} of {len(diagnosis.layers)} layers could not be aligned")
    return lines


def _worst(report: Report) -> str:
    diagnosis, precision = report.diagnosis, report.manifest.precision
    limit = f"a sound {precision} layer leaves {SOUND_DB[precision]:.0f} dB at the output"
    worst = diagnosis.ranked[0]
    if is_sound(worst, precision):
        return f"no weak layer: {limit}; the first makes {diagnosis.share(worst):.0%} of the noise"
    assert worst.tally is not None
    if worst.tally.not_finite:
        return f"weakest: {worst.pair.layer.name}, whose values are not finite ({limit})"
    levels = [f.output_db for f in diagnosis.layers if f.tally and f.output_db is not None]
    below = float(np.median(levels)) - (worst.output_db or 0)
    return (
        f"weakest: {worst.pair.layer.name}, {below:.0f} dB below the median layer; if it stayed "
        f"float, about {diagnosis.share(worst):.0%} of the output's noise would go ({limit})"
    )
