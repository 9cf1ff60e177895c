"""Compressed weights against coremltools' own unpacking of the same file."""

import numpy as np
import pytest

from devices import mil
from devices.mil import MilError
from tests.devices.mil import packages
from tests.devices.mil.packages import mb, noise
from tests.tiny import quiet

with quiet():
    from coremltools.optimize import coreml as compression

WEIGHT, MATRIX = noise(32, 16, 3, 3, seed=1), noise(64, 64, seed=2)
CONFIGS = {
    "int8 by channel": ("iOS17", compression.OpLinearQuantizerConfig(mode="linear_symmetric")),
    "uint8 with zero points": ("iOS17", compression.OpLinearQuantizerConfig(mode="linear")),
    "uint8 by tensor": (
        "iOS18",
        compression.OpLinearQuantizerConfig(mode="linear", granularity="per_tensor"),
    ),
    "int4 by block": (
        "iOS18",
        compression.OpLinearQuantizerConfig(
            mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=8
        ),
    ),
    "uint4 with offsets": (
        "iOS18",
        compression.OpLinearQuantizerConfig(mode="linear", dtype="uint4"),
    ),
    **{
        f"palette of {bits} bits": (
            "iOS17",
            compression.OpPalettizerConfig(mode="uniform", nbits=bits),
        )
        for bits in (1, 2, 4, 6, 8)
    },
    "palette of 3 bits by group": (
        "iOS18",
        compression.OpPalettizerConfig(
            mode="uniform", nbits=3, granularity="per_grouped_channel", group_size=8
        ),
    ),
    "pruned": ("iOS17", compression.OpThresholdPrunerConfig(threshold=1.0)),
    "pruned, iOS 18": ("iOS18", compression.OpThresholdPrunerConfig(threshold=1.0)),
}
COMPRESS = {
    compression.OpLinearQuantizerConfig: compression.linear_quantize_weights,
    compression.OpPalettizerConfig: compression.palettize_weights,
    compression.OpThresholdPrunerConfig: compression.prune_weights,
}


def network(x):
    x = mb.conv(x=x, weight=WEIGHT, bias=noise(32, seed=3))
    return mb.linear(x=mb.reshape(x=x, shape=[32, 64]), weight=MATRIX, bias=noise(64, seed=4))


def compress(made, *configs, **how):
    with quiet():
        for config in configs:
            whole = compression.OptimizationConfig(global_config=config)
            made = COMPRESS[type(config)](made, whole, **how)
            how = {"joint_compression": True}
        return made


def weights(program):
    """Return the convolution's and the linear operator's weight, in this order."""
    return [
        program.constant(operator.inputs["weight"][0])
        for operator in program.operators
        if operator.kind in {"conv", "linear"}
    ]


def unpacked(made, path):
    """Return what coremltools' own decompression makes of the weights."""
    with quiet():
        return weights(mil.load(packages.save(compression.decompress_weights(made), path)))


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize(("ios", "config"), CONFIGS.values(), ids=CONFIGS)
def test_weights_are_unpacked_as_coremltools_does(tmp_path, ios, config, half) -> None:
    made = compress(packages.model(network, (1, 16, 10, 10), half=half, ios=ios), config)
    program = mil.load(packages.save(made, tmp_path / "packed.mlpackage"))
    expected = unpacked(made, tmp_path / "dense.mlpackage")
    for found, right in zip(weights(program), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-3 if half else 1e-6, atol=1e-7)
        assert not np.array_equal(found, WEIGHT if found.ndim == 4 else MATRIX)
    assert program.run({"x": noise(1, 16, 10, 10)}).popitem()[1].shape == (32, 64)


@pytest.mark.parametrize(
    "config",
    [
        compression.OpLinearQuantizerConfig(mode="linear_symmetric"),
        compression.OpPalettizerConfig(mode="uniform", nbits=4),
    ],
    ids=["then int8", "then palette"],
)
def test_joint_forms_are_unpacked_as_coremltools_does(tmp_path, config) -> None:
    pruned = compression.OpThresholdPrunerConfig(threshold=1.0)
    made = compress(
        packages.model(network, (1, 16, 10, 10), half=True, ios="iOS18"), pruned, config
    )
    found = weights(mil.load(packages.save(made, tmp_path / "packed.mlpackage")))
    for one, right in zip(found, unpacked(made, tmp_path / "dense.mlpackage"), strict=True):
        np.testing.assert_allclose(one, right, rtol=1e-3, atol=1e-7)
        assert 0.2 < np.mean(one == 0) < 0.9


def test_a_mask_that_does_not_fit_its_values_is_refused(tmp_path) -> None:
    made = compress(
        packages.model(network, (1, 16, 10, 10)), compression.OpThresholdPrunerConfig(threshold=1.0)
    )
    path = packages.save(made, tmp_path / "packed.mlpackage")
    mil.load(path)
    blob = path / "Data/com.apple.CoreML/weights/weight.bin"
    changed = bytearray(blob.read_bytes())
    place = changed.index(np.packbits(np.abs(WEIGHT) > 1.0, bitorder="little").tobytes())
    changed[place] ^= 1
    blob.write_bytes(changed)
    with pytest.raises(MilError, match=r"constexpr_sparse_to_dense '.*': \d+ values for a mask"):
        mil.load(path)
