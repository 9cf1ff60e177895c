"""Every network of the registry in every format and precision, proved where a runtime is at hand.

The inputs are the smallest that a family's layers take, and the channels few where the name can say
so: which operators there are, and in which order, does not depend on them.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from export import artifact
from export.artifact import Manifest
from export.precision import plan
from models.registry import FAMILIES, resolve

VARIANTS = [v.name for v in plan(["all"], ["all"])]
# What follows the network in the name; a family that is not here is exported as it is.
SMALL = {
    "mobilenet": "_0.25_32",
    "mobilenet_v2": "_0.35_32",
    "mobilenet_v3": "_0.35_32",
    "resnet": "_32",
    "resnext": "_32",
    "senet": "_32",
    "vgg": "_0.25_32",
}
QUICK = {"lenet", "inception"}


def small(network: str, family: str) -> str:
    return resolve(network + SMALL.get(family, "")).name


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(f, id=f.name, marks=[] if f.name in QUICK else pytest.mark.slow)
        for f in FAMILIES
    ],
)
def family(request, cli, tmp_path_factory) -> Iterator[dict[str, dict[str, Manifest]]]:
    """The artifacts of all networks of a family, by network and variant."""
    names = [small(network, request.param.name) for network in request.param.networks]
    out: Path = tmp_path_factory.mktemp("zoo")
    arguments = ["--precision", "all", "--calibration", "random", "--images", 8, "--out", out]
    made = cli("export", "--model", ",".join(names), *arguments)
    assert made.returncode == 0, made.stdout + made.stderr
    yield {n: {v: artifact.load(out / n / v) for v in VARIANTS} for n in names}
    shutil.rmtree(out)


def test_every_network_is_proved_in_every_file_that_runs_here(family) -> None:
    for name, found in family.items():
        for variant, manifest in found.items():
            wanted = None if variant.startswith("coreml") and sys.platform != "darwin" else True
            assert manifest.proof.verified is wanted, f"{name}/{variant}: {manifest.proof.reason}"


def test_every_network_keeps_its_figures_in_every_file(family) -> None:
    for name, found in family.items():
        assert len({(m.network.parameters, m.network.macs) for m in found.values()}) == 1, name
        assert next(iter(found.values())).network.parameters > 0
