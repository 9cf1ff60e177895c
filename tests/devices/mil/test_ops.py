"""Every group of operators, as coremltools saves them, against torch."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.devices.mil.packages import mb, noise

X = torch.from_numpy(noise(2, 4, 9, 7))
POSITIVE = X.abs() + 0.1
WEIGHT = noise(6, 2, 3, 3, seed=2)
BIAS = noise(6, seed=3)
MATRIX = noise(7, 5, seed=4)
CHANNELS = [np.abs(noise(4, seed=s)) + 0.5 for s in range(4)]
FOUR = [torch.from_numpy(c) for c in CHANNELS]


def column(values):
    return values.reshape(-1, 1, 1)


UNARY = {
    "abs": torch.abs, "atan": torch.atan, "ceil": torch.ceil, "cos": torch.cos,
    "cosh": torch.cosh, "erf": torch.erf, "exp": torch.exp, "exp2": torch.exp2,
    "floor": torch.floor, "relu": F.relu, "relu6": F.relu6, "round": torch.round,
    "sigmoid": torch.sigmoid, "sign": torch.sign, "silu": F.silu, "sin": torch.sin,
    "sinh": torch.sinh, "softplus": F.softplus, "softsign": F.softsign, "square": torch.square,
    "tan": torch.tan, "tanh": torch.tanh,
}  # fmt: skip
ELEMENTWISE = {
    **{name: (lambda x, n=name: getattr(mb, n)(x=x), f) for name, f in UNARY.items()},
    "clip": (lambda x: mb.clip(x=x, alpha=-0.5, beta=0.7), lambda x: x.clamp(-0.5, 0.7)),
    "threshold": (lambda x: mb.threshold(x=x, alpha=0.2), lambda x: x.clamp(min=0.2)),
    "elu": (lambda x: mb.elu(x=x, alpha=0.6), lambda x: F.elu(x, 0.6)),
    "leaky_relu": (lambda x: mb.leaky_relu(x=x, alpha=0.1), lambda x: F.leaky_relu(x, 0.1)),
    "prelu": (
        lambda x: mb.prelu(x=x, alpha=CHANNELS[0]), lambda x: F.prelu(x, FOUR[0])
    ),
    "hard sigmoid": (
        lambda x: mb.sigmoid_hard(x=x, alpha=1 / 6, beta=0.5), F.hardsigmoid
    ),
    "scaled tanh": (
        lambda x: mb.scaled_tanh(x=x, alpha=1.7, beta=0.6), lambda x: 1.7 * torch.tanh(0.6 * x)
    ),
    "clamped relu": (
        lambda x: mb.clamped_relu(x=x, alpha=0.2, beta=0.9),
        lambda x: F.leaky_relu(x, 0.2).clamp(max=0.9),
    ),
    "thresholded relu": (
        lambda x: mb.thresholded_relu(x=x, alpha=0.4), lambda x: F.threshold(x, 0.4, 0.0)
    ),
    "linear activation": (
        lambda x: mb.linear_activation(x=x, alpha=2.0, beta=-1.0), lambda x: 2 * x - 1
    ),
    "gelu": (lambda x: mb.gelu(x=x, mode="EXACT"), F.gelu),
    "gelu by tanh": (
        lambda x: mb.gelu(x=x, mode="TANH_APPROXIMATION"),
        lambda x: F.gelu(x, approximate="tanh"),
    ),
    "softmax": (lambda x: mb.softmax(x=x, axis=1), lambda x: torch.softmax(x, 1)),
    "log": (lambda x: mb.log(x=mb.abs(x=x), epsilon=0.01), lambda x: torch.log(x.abs() + 0.01)),
    "rsqrt": (
        lambda x: mb.rsqrt(x=mb.abs(x=x), epsilon=0.01), lambda x: torch.rsqrt(x.abs() + 0.01)
    ),
    "sqrt": (lambda x: mb.sqrt(x=mb.abs(x=x)), lambda x: x.abs().sqrt()),
    "inverse": (
        lambda x: mb.inverse(x=mb.abs(x=x), epsilon=0.1), lambda x: 1 / (x.abs() + 0.1)
    ),
    "pow": (lambda x: mb.pow(x=mb.abs(x=x), y=0.75), lambda x: x.abs() ** 0.75),
    "select": (
        lambda x: mb.select(cond=mb.greater(x=x, y=0.1), a=x, b=0.0),
        lambda x: torch.where(x > 0.1, x, torch.zeros(())),
    ),
    "a logical chain": (
        lambda x: mb.cast(
            x=mb.logical_and(
                x=mb.less(x=x, y=0.5), y=mb.logical_not(x=mb.less_equal(x=x, y=-0.5))
            ),
            dtype="fp32",
        ),
        lambda x: ((x < 0.5) & ~(x <= -0.5)).float(),
    ),
    "cast to integers": (
        lambda x: mb.cast(x=mb.cast(x=mb.mul(x=x, y=3.0), dtype="int32"), dtype="fp32"),
        lambda x: (3 * x).trunc(),
    ),
}  # fmt: skip
BINARY = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "real_div": torch.div,
    "maximum": torch.maximum, "minimum": torch.minimum, "mod": torch.remainder,
    "floor_div": torch.floor_divide,
}  # fmt: skip
NORMALISATION = {
    "batch norm": (
        lambda x: mb.batch_norm(
            x=x, mean=CHANNELS[0], variance=CHANNELS[1], gamma=CHANNELS[2], beta=CHANNELS[3],
            epsilon=1e-3,
        ),
        lambda x: F.batch_norm(x, FOUR[0], FOUR[1], FOUR[2], FOUR[3], False, 0.0, 1e-3),
    ),
    "instance norm": (
        lambda x: mb.instance_norm(x=x, gamma=CHANNELS[0], beta=CHANNELS[1], epsilon=1e-3),
        lambda x: F.instance_norm(x, weight=FOUR[0], bias=FOUR[1], eps=1e-3),
    ),
    "layer norm": (
        lambda x: mb.layer_norm(
            x=x, axes=[-1], gamma=noise(7, seed=5), beta=noise(7, seed=6), epsilon=1e-3
        ),
        lambda x: F.layer_norm(
            x, [7], torch.from_numpy(noise(7, seed=5)), torch.from_numpy(noise(7, seed=6)), 1e-3
        ),
    ),
    "layer norm over channels": (
        lambda x: mb.layer_norm(x=x, axes=[1], gamma=CHANNELS[0], epsilon=1e-3),
        lambda x: F.layer_norm(x.movedim(1, -1), [4], FOUR[0], None, 1e-3).movedim(-1, 1),
    ),
    "l2 norm": (
        lambda x: mb.l2_norm(x=x, epsilon=0.0), lambda x: F.normalize(x.flatten(1)).view(x.shape)
    ),
    "local response norm": (
        lambda x: mb.local_response_norm(x=x, size=3, alpha=0.3, beta=0.75, k=2.0),
        lambda x: F.local_response_norm(x, 3, 0.3, 0.75, 2.0),
    ),
}  # fmt: skip
REDUCTION = {
    **{
        f"reduce_{name}": (
            lambda x, n=name: getattr(mb, f"reduce_{n}")(x=x, axes=[1, -1], keep_dims=False), f
        )
        for name, f in {
            "mean": lambda x: x.mean((1, 3)),
            "sum": lambda x: x.sum((1, 3)),
            "max": lambda x: x.amax((1, 3)),
            "min": lambda x: x.amin((1, 3)),
            "prod": lambda x: x.prod(3).prod(1),
            "l1_norm": lambda x: x.abs().sum((1, 3)),
            "l2_norm": lambda x: x.square().sum((1, 3)).sqrt(),
            "sum_square": lambda x: x.square().sum((1, 3)),
            "log_sum_exp": lambda x: x.logsumexp((1, 3)),
        }.items()
    },
    "all axes": (
        lambda x: mb.reduce_mean(x=x, keep_dims=True), lambda x: x.mean((0, 1, 2, 3), True)
    ),
    "argmax": (
        lambda x: mb.cast(x=mb.reduce_argmax(x=x, axis=1, keep_dims=False), dtype="fp32"),
        lambda x: x.argmax(1).float(),
    ),
    "cumsum": (
        lambda x: mb.cumsum(x=x, axis=1, exclusive=True, reverse=True),
        lambda x: x.flip(1).cumsum(1).flip(1) - x,
    ),
}  # fmt: skip
SHAPE = {
    "reshape": (lambda x: mb.reshape(x=x, shape=[2, -1]), lambda x: x.flatten(1)),
    "reshape, keeping axes": (
        lambda x: mb.reshape(x=x, shape=[0, 2, -1, 0]), lambda x: x.reshape(2, 2, 18, 7)
    ),
    "reshape, axes kept from the last": (
        lambda x: mb.reshape(x=x, shape=[-1, 0]), lambda x: x.reshape(72, 7)
    ),
    "transpose": (lambda x: mb.transpose(x=x, perm=[0, 2, 3, 1]), lambda x: x.permute(0, 2, 3, 1)),
    "expand and squeeze": (
        lambda x: mb.squeeze(x=mb.expand_dims(x=x, axes=[1]), axes=[0, 1]), lambda x: x
    ),
    "flatten": (lambda x: mb.flatten2d(x=x, axis=2), lambda x: x.reshape(8, 63)),
    "concat": (lambda x: mb.concat(values=[x, x], axis=1), lambda x: torch.cat([x, x], 1)),
    "interleaved": (
        lambda x: mb.concat(values=[x, mb.abs(x=x)], axis=1, interleave=True),
        lambda x: torch.stack([x, x.abs()], 2).flatten(1, 2),
    ),
    "stack": (lambda x: mb.stack(values=[x, x], axis=1), lambda x: torch.stack([x, x], 1)),
    "split": (
        lambda x: mb.split(x=x, split_sizes=[1, 3], axis=1)[1], lambda x: x.split([1, 3], 1)[1]
    ),
    "pad": (
        lambda x: mb.pad(x=x, pad=[1, 2, 0, 3], constant_val=0.5),
        lambda x: F.pad(x, (0, 3, 1, 2), value=0.5),
    ),
    "pad channels": (
        lambda x: mb.pad(x=x, pad=[0, 0, 2, 2, 0, 0, 0, 0]),
        lambda x: F.pad(x, (0, 0, 0, 0, 2, 2)),
    ),
    "pad by reflection": (
        lambda x: mb.pad(x=x, pad=[1, 2, 3, 0], mode="reflect"),
        lambda x: F.pad(x, (3, 0, 1, 2), mode="reflect"),
    ),
    "pad by repetition": (
        lambda x: mb.pad(x=x, pad=[1, 2, 3, 0], mode="replicate"),
        lambda x: F.pad(x, (3, 0, 1, 2), mode="replicate"),
    ),
    "slice": (
        lambda x: mb.slice_by_index(
            x=x, begin=[0, 3, 1, 0], end=[0, 0, 8, 0], stride=[1, 1, 2, 1],
            begin_mask=[True, False, False, True], end_mask=[True, True, False, True],
        ),
        lambda x: x[:, 3:, 1:8:2],
    ),
    "slice backwards, one row": (
        lambda x: mb.slice_by_index(
            x=x, begin=[1, 3, 0, 0], end=[2, 0, 0, 0], stride=[1, -1, 1, 1],
            end_mask=[False, False, True, True], begin_mask=[False, False, True, True],
            squeeze_mask=[True, False, False, False],
        ),
        lambda x: x[1].flip(0)[:3],
    ),
    "slice by size": (
        lambda x: mb.slice_by_size(x=x, begin=[0, 1, 2, 3], size=[-1, 2, 4, -1]),
        lambda x: x[:, 1:3, 2:6, 3:],
    ),
    "reverse": (lambda x: mb.reverse(x=x, axes=[1, 3]), lambda x: x.flip(1, 3)),
    "tile": (lambda x: mb.tile(x=x, reps=[1, 2, 1, 3]), lambda x: x.repeat(1, 2, 1, 3)),
    "gather": (
        lambda x: mb.gather(x=x, indices=[3, 0, 3], axis=1), lambda x: x[:, [3, 0, 3]]
    ),
    "pixel shuffle": (
        lambda x: mb.pixel_shuffle(x=x, upscale_factor=2), lambda x: F.pixel_shuffle(x, 2)
    ),
    "nearest neighbour": (
        lambda x: mb.upsample_nearest_neighbor(
            x=x, scale_factor_height=2.0, scale_factor_width=3.0
        ),
        lambda x: F.interpolate(x, scale_factor=(2, 3)),
    ),
    "bilinear": (
        lambda x: mb.upsample_bilinear(
            x=x, scale_factor_height=2.0, scale_factor_width=3.0, align_corners=False
        ),
        lambda x: F.interpolate(x, scale_factor=(2, 3), mode="bilinear", align_corners=False),
    ),
}  # fmt: skip
PRODUCTS = {
    "conv": (
        lambda x: mb.conv(
            x=x, weight=WEIGHT, bias=BIAS, strides=[2, 1], pad_type="custom", pad=[1, 1, 2, 2],
            dilations=[1, 2], groups=2,
        ),
        lambda x: F.conv2d(
            x, torch.from_numpy(WEIGHT), torch.from_numpy(BIAS), (2, 1), (1, 2), (1, 2), 2
        ),
    ),
    "conv, uneven": (
        lambda x: mb.conv(
            x=x, weight=WEIGHT, pad_type="custom", pad=[0, 1, 2, 0], groups=2
        ),
        lambda x: F.conv2d(F.pad(x, (2, 0, 0, 1)), torch.from_numpy(WEIGHT), groups=2),
    ),
    "conv, same": (
        lambda x: mb.conv(x=x, weight=WEIGHT, pad_type="same", groups=2),
        lambda x: F.conv2d(x, torch.from_numpy(WEIGHT), padding="same", groups=2),
    ),
    "conv, same_lower by 2": (
        lambda x: mb.conv(x=x, weight=WEIGHT[..., :2, :2], pad_type="same_lower", groups=2,
                          strides=[2, 2]),
        lambda x: F.conv2d(
            F.pad(x, (1, 0, 1, 0)), torch.from_numpy(WEIGHT[..., :2, :2].copy()), None, 2, 0, 1, 2
        ),
    ),
    "transposed conv": (
        lambda x: mb.conv_transpose(
            x=x, weight=noise(4, 3, 3, 3, seed=8), bias=BIAS[:3], strides=[2, 2],
            pad_type="custom", pad=[1, 1, 1, 1],
        ),
        lambda x: F.conv_transpose2d(
            x, torch.from_numpy(noise(4, 3, 3, 3, seed=8)), torch.from_numpy(BIAS[:3]), 2, 1
        ),
    ),
    "linear": (
        lambda x: mb.linear(
            x=mb.reshape(x=x, shape=[72, 7]), weight=MATRIX.T.copy(), bias=BIAS[:5]
        ),
        lambda x: F.linear(
            x.reshape(72, 7), torch.from_numpy(MATRIX.T.copy()), torch.from_numpy(BIAS[:5])
        ),
    ),
    "matmul": (lambda x: mb.matmul(x=x, y=MATRIX), lambda x: x @ torch.from_numpy(MATRIX)),
    "matmul, transposed": (
        lambda x: mb.matmul(x=x, y=x, transpose_y=True), lambda x: x @ x.mT
    ),
    "einsum": (
        lambda x: mb.einsum(
            values=(x, mb.transpose(x=x, perm=[0, 3, 2, 1])), equation="nchw,nwhu->nchu"
        ),
        lambda x: torch.einsum("nchw,nuhw->nchu", x, x),
    ),
}  # fmt: skip
POOLS = {
    "max": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="valid"),
        lambda x: F.max_pool2d(x, (3, 2), 2),
    ),
    "max of negative numbers, padded": (
        lambda x: mb.max_pool(
            x=mb.sub(x=x, y=9.0), kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom",
            pad=[1, 1, 1, 1],
        ),
        lambda x: F.max_pool2d(x - 9, 3, 2, 1),
    ),
    "mean that counts padding": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1]
        ),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
    ),
    "mean without padding": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1],
            exclude_padding_from_average=True,
        ),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    "mean, same, padding not counted": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], strides=[1, 1], pad_type="same",
            exclude_padding_from_average=True,
        ),
        lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    ),
    "l2": (
        lambda x: mb.l2_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="valid"),
        lambda x: F.lp_pool2d(x, 2, 3, 2),
    ),
}  # fmt: skip
CASES = {
    **{f"elementwise: {k}": v for k, v in ELEMENTWISE.items()},
    **{f"normalisation: {k}": v for k, v in NORMALISATION.items()},
    **{f"reduction: {k}": v for k, v in REDUCTION.items()},
    **{f"shape: {k}": v for k, v in SHAPE.items()},
    **{f"product: {k}": v for k, v in PRODUCTS.items()},
    **{f"pool: {k}": v for k, v in POOLS.items()},
}


@pytest.mark.parametrize(("build", "expected"), CASES.values(), ids=CASES)
def test_an_operator_computes_what_torch_does(compute, build, expected) -> None:
    [found] = compute(build, X.numpy()).values()
    np.testing.assert_allclose(found, expected(X), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "expected"), BINARY.items(), ids=BINARY)
def test_two_tensors_meet_by_broadcasting(compute, name, expected) -> None:
    y = noise(4, 1, 7, seed=9) + 3
    [found] = compute(lambda x, y: getattr(mb, name)(x=x, y=y), X.numpy(), y).values()
    np.testing.assert_allclose(found, expected(X, torch.from_numpy(y)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", range(4, 12))
@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 2, 0), (3, 2, 1), (2, 2, 0), (2, 3, 1)])
@pytest.mark.parametrize("kind", ["max", "mean", "mean without padding"])
def test_a_pool_s_last_window_may_be_incomplete(compute, kind, kernel, stride, pad, size) -> None:
    x = noise(1, 2, size, size, seed=size) - 2
    where = {
        "kernel_sizes": [kernel] * 2, "strides": [stride] * 2, "pad_type": "custom",
        "pad": [pad] * 4, "ceil_mode": True,
    }  # fmt: skip
    given, torch_x = (kernel, stride, pad), torch.from_numpy(x)
    if kind == "max":
        [found] = compute(lambda x: mb.max_pool(x=x, **where), x).values()
        expected = F.max_pool2d(torch_x, *given, ceil_mode=True)
    else:
        counted = kind == "mean"
        [found] = compute(
            lambda x: mb.avg_pool(x=x, exclude_padding_from_average=not counted, **where), x
        ).values()
        expected = F.avg_pool2d(torch_x, *given, ceil_mode=True, count_include_pad=counted)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_best_are_found_with_their_places(compute) -> None:
    values, places = compute(lambda x: mb.topk(x=x, k=3, axis=1), X.numpy()).values()
    expected = torch.topk(X, 3, 1)
    np.testing.assert_array_equal(values, expected.values)
    np.testing.assert_array_equal(places, expected.indices)
    assert places.dtype == np.int32


def test_attention(compute) -> None:
    def build(x):
        return mb.scaled_dot_product_attention(query=x, key=x, value=x)

    [found] = compute(build, X.numpy(), ios="iOS18").values()
    expected = F.scaled_dot_product_attention(X, X, X)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_rounding_a_result_to_half_leaves_accumulation_in_float32(compute) -> None:
    x = np.full((1, 4096, 1, 1), 0.01, np.float32)
    weight = np.ones((1, 4096, 1, 1), np.float32)
    [found] = compute(lambda x: mb.conv(x=x, weight=weight), x, half=True).values()
    exact = math.fsum([float(np.float16(0.01))] * 4096)
    assert found.item() == np.float16(exact)
