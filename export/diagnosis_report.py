"""A diagnosis in words and as data: the table, the advice, the summary."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from export.artifact import Manifest
from export.causes import SOUND_DB, Cause, Setting, find, is_sound
from export.diagnose import Diagnosis, Found
from export.verify import EXACT_DB
from models.table import table

WIDTH = 80
NOT_ALIGNED = "not aligned"


@dataclass(frozen=True)
class Report:
    """A diagnosis of an artifact, with what it was compared with and by how much it would gain.

    `relief` is by layer the share of the output's noise that goes if the layer stays float.
    """

    manifest: Manifest
    diagnosis: Diagnosis
    origin: str
    inputs: str
    relief: dict[str, float]

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
        return find(found.pair, found.tally, self.setting) if found.tally else []


def weak(diagnosis: Diagnosis, precision: str) -> list[Found]:
    """Return the layers that are not sound, the worst first."""
    return [f for f in diagnosis.ranked if f.tally and not is_sound(f.tally, precision)]


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
        "clipped_share": round(tally.clipped / tally.values, 6) if tally else None,
        "output_noise_share": _rounded(report.relief.get(name), 4),
        "causes": [asdict(cause) for cause in report.causes(found)],
    }


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def as_text(report: Report, most: int | None) -> str:
    """Return the table of the worst `most` layers (None: all), advice, and the summary."""
    ranked = report.diagnosis.ranked
    shown = ranked[:most]
    rows = [_row(report, found) for found in shown]
    headings = ["layer", "kind", "own dB", "so far", "cause"]
    parts = [table(headings, rows, left={0, 1, 4})]
    left = len(ranked) - len(shown)
    if left:
        parts.append(f"... {left} more, --all lists them")
    parts += [_advice(report, found) for found in shown if report.causes(found)]
    return "\n\n".join([*parts, "\n".join(map(_folded, _summary(report)))])


def _row(report: Report, found: Found) -> list[str]:
    layer, tally = found.pair.layer, found.tally
    if tally is None:
        return [layer.name, _kind(layer.kind), "", "", NOT_ALIGNED]
    causes = report.causes(found)
    return [
        layer.name,
        _kind(layer.kind),
        _decibels(tally.own_db),
        _decibels(tally.so_far_db),
        causes[0].name if causes else "",
    ]


def _kind(kind: str) -> str:
    short = kind.replace("depthwise", "dw").replace("_", " ").replace("2d", "")
    return short.replace("adaptive ", "").strip()


def _decibels(value: float | None) -> str:
    if value is None:
        return "no signal"
    if abs(value) >= EXACT_DB:
        return "exact" if value > 0 else "not finite"
    return f"{value:.1f}"


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
    diagnosis, precision = report.diagnosis, report.manifest.precision
    limit = f"a sound {precision} layer has {SOUND_DB[precision]:.0f} dB of its own"
    lines = [_worst(report, limit)]
    lines.append(
        f"output: {_decibels(diagnosis.output_db)} dB over {diagnosis.inputs} inputs "
        f"({report.inputs}), against {report.origin}"
    )
    missing = sum(found.tally is None for found in diagnosis.layers)
    if missing:
        lines.append(f"{missing} of {len(diagnosis.layers)} layers could not be aligned")
    return lines


def _worst(report: Report, limit: str) -> str:
    poor = weak(report.diagnosis, report.manifest.precision)
    owns = [f.tally.own_db for f in report.diagnosis.layers if f.tally and f.tally.own_db]
    if not poor or not owns:
        return f"no weak layer: {limit}"
    worst = poor[0]
    assert worst.tally is not None
    below = float(np.median(owns)) - (worst.tally.own_db or 0)
    gain = report.relief.get(worst.pair.layer.name)
    share = f"; kept in float, {_share(gain)} of the output's noise goes" if gain else ""
    return (
        f"weakest: {worst.pair.layer.name}, {below:.0f} dB below the median layer{share} ({limit})"
    )


def _share(value: float) -> str:
    return "hardly any" if value < 0.05 else f"{value:.0%}"
