"""The noise floor of Core ML's precisions: what right files reach, by the reference interpreter.

Prints a line for each network of the zoo (or for those named) and precision: the PSNR of the worst
output against the float original over the golden inputs, with random weights as `edgeworthy export`
makes them. The tolerances of `export.precision` are set below these figures.

    python -m tests.export.noise_floor [NAME ...]
"""

import sys
import tempfile
import warnings
from pathlib import Path

from export import pipeline, source
from export.cli_prove import prove
from export.pipeline import Outcome
from export.precision import plan
from models.registry import resolve
from tests.export.test_zoo import NETWORKS, here


def main(names: list[str]) -> None:
    """Export each network to Core ML at all precisions and print what its proofs found."""
    for name in names or [resolve(small).name for _, small in NETWORKS]:
        with tempfile.TemporaryDirectory() as out, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converter's own
            sources = source.find([name], weights=None, shapes=[], seed=0, name=None)
            request = pipeline.Request(
                sources=tuple(sources),
                variants=tuple(plan(["coreml"], ["all"])),
                out=Path(out),
                jobs=1,
            )
            for outcome in pipeline.export_all(request, prove, lambda _: None, here):
                print(line(outcome), flush=True)  # noqa: T201


def line(outcome: Outcome) -> str:
    """Return one proof as a line of the table."""
    if outcome.manifest is None:
        return f"{outcome.key:45} {outcome.error}"
    proof = outcome.manifest.proof
    alarms = [f"{a.kind} {a.operator} {a.share:.2g}" for a in proof.alarms]
    if not proof.outputs:
        return f"{outcome.key:45} {proof.reason}"
    worst = min(proof.outputs, key=lambda error: error.psnr_db)
    figures = f"{worst.psnr_db:6.1f} dB  cosine {worst.cosine}  top-1 {worst.top1}"
    return f"{outcome.key:45} {figures}  {proof.verified}  {'; '.join(alarms)}"


if __name__ == "__main__":
    main(sys.argv[1:])
