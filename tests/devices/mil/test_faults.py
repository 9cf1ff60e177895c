"""Faults planted in saved packages, as a broken converter would write them: all are found.

The network has what an export can get wrong: a convolution with batch norm, a depthwise one, local
response normalisation, two layers whose weights have one shape, pooling, a clip, an axis, a layer
norm, a square matrix. A package is proved as an export is: on golden inputs of several amplitudes,
and number by number against the network's weights.
"""

import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from devices import mil
from devices.mil.blob import ENTRY
from devices.mil.schema import main_function, read
from devices.mil.tensors import tensor_type
from export import artifact, constants, pipeline, source, verify
from export.artifact import Manifest, Proof
from export.capture import capture
from export.cli_prove import prove
from export.jobs import PROGRAM
from export.precision import plan
from models.layers import LocalResponseNorm
from tests.export.test_zoo import here

PRECISIONS = ("fp32", "fp16", "int8-weights")
SPEC = Path("Data/com.apple.CoreML/model.mlmodel")
BLOB = Path("Data/com.apple.CoreML/weights/weight.bin")


class Net(nn.Module):
    """Shapes: ``(N, 3, 32, 32)`` to ``(N, 10)``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Hardtanh(0.0, 5.9)
        )
        self.depth = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.norm = LocalResponseNorm(alpha=0.5)
        self.one = nn.Conv2d(16, 16, 3, 1, 1)
        self.two = nn.Conv2d(16, 16, 3, 1, 1)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.mean = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.layer = nn.LayerNorm(64, eps=1e-3)
        self.square = nn.Linear(64, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.depth(self.stem(x)))
        x = torch.cat([self.one(x).relu(), self.two(x).sigmoid()], 1)
        x = self.mean(self.pool(x)).softmax(1)
        x = self.layer(x.flatten(2).mean(2).repeat(1, 2) * 2)
        return self.head(self.square(x).relu())


def network() -> nn.Module:
    torch.manual_seed(1)
    net = Net()
    with torch.no_grad():
        net.stem[1].running_mean.normal_(0, 0.3)
        net.stem[1].running_var.uniform_(0.1, 0.5)
        net.stem[1].bias.fill_(1.0)
    return net.eval()


@dataclass(frozen=True)
class Exported:
    """The packages by precision with their manifests, and what an export keeps of the network."""

    directories: dict[str, Path]
    manifests: dict[str, Manifest]
    scratch: Path


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    """Threads wait for each other longer than such small layers take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    out = tmp_path_factory.mktemp("faults")
    program = capture(network(), [(1, 3, 32, 32)])
    torch.export.save(program, out / "net.pt2")
    request = pipeline.Request(
        sources=tuple(
            source.find([str(out / "net.pt2")], weights=None, shapes=[], seed=0, name=None)
        ),
        variants=tuple(plan(["coreml"], list(PRECISIONS))),
        out=out,
        jobs=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own
        outcomes = pipeline.export_all(request, prove, lambda _: None, here)
    assert [o.error for o in outcomes if o.error] == []
    directories = {p: out / "net" / f"coreml-{p}" for p in PRECISIONS}
    manifests = {p: artifact.load(d) for p, d in directories.items()}
    scratch = tmp_path_factory.mktemp("scratch")
    shutil.copyfile(out / "net.pt2", scratch / PROGRAM)
    return Exported(directories, manifests, scratch)


def proof_of(exported: Exported, precision: str, package: Path) -> Proof:
    """Prove a package as an export does, without its process."""
    manifest = exported.manifests[precision]
    inputs, expected = verify.golden(exported.directories[precision], manifest)
    try:
        program = mil.load(package)
        rows, alarms = [], []
        for row in range(len(manifest.golden)):
            rows.append(program.run({k: v[row : row + 1] for k, v in inputs.items()}))
            alarms += [SimpleNamespace(row=row, **vars(alarm)) for alarm in program.alarms]
    except mil.MilError as error:
        return Proof(verified=False, reason=str(error))
    got = {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}
    golden = exported.directories[precision] / artifact.GOLDEN
    found = constants.check(package, exported.scratch, golden, manifest.quantization.weights)
    return verify.judged(verify.prove(manifest, expected, got, alarms), found)


@dataclass
class Package:
    """A package to plant a fault in."""

    path: Path
    spec: Any = field(init=False)

    def __post_init__(self) -> None:
        self.spec, _ = read(self.path)
        self.blob = bytearray((self.path / BLOB).read_bytes())

    def save(self) -> None:
        (self.path / SPEC).write_bytes(self.spec.SerializeToString())
        (self.path / BLOB).write_bytes(self.blob)

    def operators(self, *kinds: str) -> list[Any]:
        _, block = main_function(self.spec)
        return [o for o in block.operations if o.type in kinds]

    def operator(self, kind: str, number: int = 0) -> Any:
        return self.operators(kind)[number]

    def value(self, operator: Any, key: str) -> Any:
        """Return what a constant argument is bound to: it can be changed in place."""
        name = operator.inputs[key].arguments[0].name
        found = next(o for o in self.operators("const") if o.outputs[0].name == name)
        return found.attributes["val"]

    def stored(self, value: Any) -> tuple[int, int]:
        """Return where a value's bytes are in the weight file, and how many."""
        offset = value.blobFileValue.offset
        _, _, size, start, _ = ENTRY.unpack_from(self.blob, offset)
        return start, size

    def weight_value(self, kind: str, number: int) -> Any:
        """Return the stored weight of an operator, compressed or not."""
        name = self.operator(kind, number).inputs["weight"].arguments[0].name
        stored = self.operators("const", "constexpr_affine_dequantize")
        maker = next(o for o in stored if o.outputs[0].name == name)
        return maker.attributes["val" if maker.type == "const" else "quantized_data"]

    def weight(self, kind: str, number: int = 0) -> tuple[int, int]:
        return self.stored(self.weight_value(kind, number))

    def numbers(self, value: Any) -> np.ndarray[Any, Any]:
        """Return an immediate constant's numbers."""
        tensor = value.immediateValue.tensor
        if tensor.WhichOneof("value") == "bytes":
            return np.frombuffer(tensor.bytes.values, np.float16)
        return np.asarray(getattr(tensor, tensor.WhichOneof("value")).values)

    def put(self, value: Any, numbers: Any) -> None:
        """Replace an immediate constant's numbers."""
        tensor = value.immediateValue.tensor
        if tensor.WhichOneof("value") == "bytes":
            tensor.bytes.values = np.asarray(numbers, np.float16).tobytes()
        else:
            getattr(tensor, tensor.WhichOneof("value")).values[:] = list(numbers)

    def scale(self, value: Any, factor: float) -> None:
        self.put(value, self.numbers(value) * factor)


def flip(kind: str, number: int, place: float, bit: int) -> Callable[[Package], None]:
    """Flip a bit of the number that lies at a share `place` of a weight's bytes."""

    def plant(package: Package) -> None:
        start, size = package.weight(kind, number)
        shape, _ = tensor_type(package.weight_value(kind, number).type)
        count = size // prod(shape)
        index = start + int(place * (size // count - 1)) * count
        stored = int.from_bytes(package.blob[index : index + count], "little")
        changed = stored ^ (1 << max(8 * count - 1 - bit, 0))
        package.blob[index : index + count] = changed.to_bytes(count, "little")

    return plant


def swapped_layers(package: Package) -> None:
    one, two = (package.operator("conv", n).inputs["weight"].arguments[0] for n in (2, 3))
    one.name, two.name = two.name, one.name


def swapped_branches(package: Package) -> None:
    first, second = package.operator("concat").inputs["values"].arguments
    first.name, second.name = second.name, first.name


def transposed(package: Package) -> None:
    start, size = package.weight("linear", 0)
    side = 64
    square = np.frombuffer(package.blob[start : start + size], f"V{size // side**2}")
    package.blob[start : start + size] = square.reshape(side, side).T.tobytes()


def missing_bias(kind: str, number: int) -> Callable[[Package], None]:
    def plant(package: Package) -> None:
        del package.operator(kind, number).inputs["bias"]

    return plant


def set_to(kind: str, number: int, key: str, numbers: Any) -> Callable[[Package], None]:
    def plant(package: Package) -> None:
        value = package.value(package.operator(kind, number), key)
        assert package.numbers(value).tolist() != list(numbers)
        package.put(value, numbers)

    return plant


def times(kind: str, number: int, key: str, factor: float) -> Callable[[Package], None]:
    def plant(package: Package) -> None:
        package.scale(package.value(package.operator(kind, number), key), factor)

    return plant


def kernel_of_another(package: Package) -> None:
    package.operator("avg_pool").type = "max_pool"
    del package.operator("max_pool", 1).inputs["exclude_padding_from_average"]


def channel_scale(package: Package) -> None:
    """One channel of one compressed weight is scaled two per cent too much."""
    value = package.operator("constexpr_affine_dequantize").attributes["scale"]
    start, size = package.stored(value)
    scales = np.frombuffer(package.blob[start : start + size], np.float16).copy()
    scales[3] *= 1.02
    package.blob[start : start + size] = scales.tobytes()


def zero_point(package: Package) -> None:
    """The zero point of one channel is 1 in place of 0."""
    value = package.operator("constexpr_affine_dequantize").attributes["zero_point"]
    start, _ = package.stored(value)
    assert package.blob[start] == 0
    package.blob[start] = 1


FAULTS: dict[str, Callable[[Package], None]] = {
    "sign of a weight": flip("conv", 2, 0.3, 0),
    "highest exponent bit": flip("conv", 2, 0.6, 1),
    "low exponent bit, first layer": flip("conv", 0, 0.0, 4),
    "low exponent bit, last layer": flip("linear", 1, 1.0, 4),
    "high mantissa bit": flip("linear", 0, 0.5, 9),
    "layers swapped": swapped_layers,
    "branches swapped": swapped_branches,
    "matrix transposed": transposed,
    "bias of the first layer missing": missing_bias("conv", 0),
    "bias in the middle missing": missing_bias("conv", 3),
    "bias of the head missing": missing_bias("linear", 1),
    "clip at 5.5": set_to("clip", 0, "beta", [5.5]),
    "clip from -0.1": set_to("clip", 0, "alpha", [-0.1]),
    "padding shifted": set_to("conv", 0, "pad", [0, 2, 0, 2]),
    "stride 1": set_to("conv", 0, "strides", [1, 1]),
    "pool shifted": set_to("max_pool", 0, "pad", [2, 0, 2, 0]),
    "pool of another kind": kernel_of_another,
    "padding counted in the mean": set_to("avg_pool", 0, "exclude_padding_from_average", [False]),
    "softmax over rows": set_to("softmax", 0, "axis", [2]),
    "epsilon ten times": times("layer_norm", 0, "epsilon", 10),
    "epsilon a tenth": times("layer_norm", 0, "epsilon", 0.1),
    "exponent of the normalisation": times("pow", 0, "y", 0.97),
    "offset of the normalisation": times("add", -1, "y", 1.05),
}
COMPRESSED = {"scale of a channel": channel_scale, "zero point": zero_point}
CASES = [
    *((precision, name) for precision in PRECISIONS for name in FAULTS),
    *(("int8-weights", name) for name in COMPRESSED),
]


@pytest.fixture
def planted(exported: Exported, tmp_path: Path) -> Callable[..., Path]:
    def plant(precision: str, fault: Callable[[Package], None]) -> Path:
        weights = exported.manifests[precision].quantization.weights
        target = tmp_path / weights / "model.mlpackage"
        shutil.copytree(exported.directories[precision] / "model.mlpackage", target)
        package = Package(target)
        fault(package)
        package.save()
        return target

    return plant


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_package_without_a_fault_is_proved(exported, planted, precision: str) -> None:
    proof = proof_of(exported, precision, planted(precision, lambda package: None))
    assert proof.verified is True, proof.reason
    assert proof.constants is not None
    assert proof.constants.layers == 6


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "name"), CASES)
def test_a_planted_fault_is_found(exported, planted, precision: str, name: str) -> None:
    fault = (FAULTS | COMPRESSED)[name]
    proof = proof_of(exported, precision, planted(precision, fault))
    assert proof.verified is False, proof
    assert proof.reason
