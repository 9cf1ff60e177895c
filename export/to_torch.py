"""The float program itself as an artifact: the reference that the others are measured against."""

import shutil
from pathlib import Path

from export.artifact import Quantization
from export.convert import Interface, Variant, plain
from export.jobs import PROGRAM, ConvertJob, ProgramInfo
from export.precision import Precision


class Converter:
    """Copies the program; batch-norm stays as it was written, as eager torch would run it."""

    TOOLS: tuple[str, ...] = ()

    def __init__(self, job: ConvertJob, info: ProgramInfo) -> None:
        """Take the program."""
        self._job, self._info = job, info

    def write(self, precision: Precision, io: str, target: Path) -> Variant:
        """Write `model.pt2`."""
        shutil.copyfile(self._job.directory / PROGRAM, target)
        return Variant(
            interface=Interface(
                inputs=tuple(plain(p.name, p.shape) for p in self._info.inputs),
                outputs=tuple(plain(p.name, p.shape) for p in self._info.outputs),
            ),
            quantization=Quantization(weights=precision.weights, activations=precision.activations),
            dynamic_batch=self._info.dynamic_batch,
        )
