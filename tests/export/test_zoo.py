"""Every network of the registry in every format and precision, all proved.

Networks that the registry lists at several widths and resolutions are exported once at all
precisions, and at each listed size in float32. The inputs of the former are the smallest that a
family's layers take, and the channels few where the name can say so: which operators there are, and
in which order, does not depend on them. The steps run in this process, one after the other:
importing three converters for each network would take longer than converting it.
"""

import gc
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from devices.local import LocalDevice
from devices.workers import Workers
from export import artifact, pipeline, source
from export.artifact import Manifest
from export.child import Children
from export.cli_prove import decide
from export.jobs import ConvertJob, Event, ProgramJob, decode
from export.precision import Variant, plan
from models.registry import FAMILIES, names, resolve

VARIANTS = plan(["all"], ["all"])
# What follows the network in the name; a family that is not here is exported as it is.
SMALL = {
    "mobilenet": "_0.25_32",
    "mobilenet_v2": "_0.35_32",
    "mobilenet_v3": "_1.0_64",
    "resnet": "_32",
    "resnext": "_32",
    "senet": "_32",
    "vgg": "_0.25_32",
}
# Without shortcuts, and with one place of nine in the image once it is 1x1, its values would shrink
# from layer to layer until float16 has none of them left.
ENOUGH = {"plain34": "plain34_96"}
QUICK = {"lenet5", "mobilenet_v1", "inception_reduced"}
NETWORKS = [(n, ENOUGH.get(n, n + SMALL.get(f.name, ""))) for f in FAMILIES for n in f.networks]
SIZES = [n for n in names() if n not in dict(NETWORKS) and "@" not in n]
ENSEMBLE = ("resnet20+resnet32", "resnet20+resnet32")


def here(
    children: Children, module: str, job: Path, log: Path, listen: Callable[[Event], None]
) -> None:
    """Run a step in this process."""
    kinds = {"export.program": ProgramJob, "export.convert": ConvertJob}
    import_module(module).perform(decode(job.read_bytes(), kinds[module]), listen)


@pytest.fixture(scope="module", autouse=True)
def _rare_collections() -> Iterator[None]:
    """Collect garbage as seldom as `export.forking` has it: a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(20_000, 50, 100)
    yield
    gc.set_threshold(*before)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Workers that stay for the next network: starting one costs more than most proofs."""
    with Workers(LocalDevice()) as running:
        yield running


@pytest.fixture
def export(tmp_path: Path, workers: Workers) -> Callable[[str, list[Variant]], dict[str, Manifest]]:
    def _export(name: str, variants: list[Variant]) -> dict[str, Manifest]:
        sources = source.find([name], weights=None, shapes=[], seed=0, name=None)
        request = pipeline.Request(
            sources=tuple(sources),
            variants=tuple(variants),
            out=tmp_path,
            calibration="random",
            images=16,
            jobs=1,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converters' own
            prove = partial(decide, workers=workers)
            outcomes = pipeline.export_all(request, prove, lambda _: None, here)
        assert [o.error for o in outcomes if o.error] == []
        made = {v.name: artifact.load(tmp_path / name / v.name) for v in variants}
        shutil.rmtree(tmp_path)
        return made

    return _export


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            resolve(small).name, id=network, marks=[] if network in QUICK else pytest.mark.slow
        )
        for network, small in (*NETWORKS, ENSEMBLE)
    ],
)
def test_every_network_is_proved_in_every_file_that_runs_here(
    export, record_property, name: str
) -> None:
    check(export(name, VARIANTS), record_property)


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_every_size_that_the_zoo_lists_is_proved_in_every_format(
    export, record_property, name: str
) -> None:
    check(export(name, plan(["all"], ["fp32"])), record_property)


def check(found: dict[str, Manifest], record_property: Callable[[str, str], None]) -> None:
    """Hold every file to its proof; leave the figures for `docs/zoo_table.py`."""
    for variant, manifest in found.items():
        record_property(variant, json.dumps(figures(manifest)))
        assert manifest.proof.verified is True, f"{variant}: {manifest.proof.reason}"
        assert manifest.proof.emulated is variant.startswith("coreml")
    assert len({(m.network.parameters, m.network.macs) for m in found.values()}) == 1
    assert found["onnx-fp32"].network.parameters > 0


def figures(manifest: Manifest) -> dict[str, str | float | int | None]:
    worst = min(manifest.proof.outputs, key=lambda output: output.psnr_db)
    return {
        "network": manifest.network.name,
        "psnr_db": worst.psnr_db,
        "top1": worst.top1,
        "decided": worst.decided,
        "size_bytes": manifest.size_bytes,
        "parameters": manifest.network.parameters,
    }
