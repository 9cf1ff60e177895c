"""How long an export takes beside the three converters run bare, for the same nine files.

    python docs/export_speed.py [--model mobilenet_v2] [--rounds 3]

Both sides make ONNX, TFLite and Core ML at fp32, fp16 and int8 with eight random calibration
inputs. Bare: one script a format, one after the other, each starting from the network in torch and
calling the converter and quantizer as their documentation does, without any proof; Core ML's int8
is weight-only, since coremltools calibrates activations on a Mac only. Ours: one `edgeworthy
export`, its proofs included. The two alternate; the ratio of medians counts, times drift. On a
machine with other work the seconds of the processor (of all cores together) tell more.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

INPUTS = 8
FORMATS = ("onnx", "tflite", "coreml")


def network(name: str) -> "tuple[torch.nn.Module, torch.Tensor]":
    """Return the network and an example input."""
    import torch

    from models.checkpoint import build

    built = build(name, weights=None, seed=0)
    return built.module.eval(), torch.zeros(1, built.channels, *built.spec.size)


def onnx(name: str, out: Path) -> None:
    """Three ONNX files by torch's exporter and ONNX Runtime's tools."""
    import numpy as np
    import onnx
    import torch
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from onnxruntime.transformers.float16 import convert_float_to_float16

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            shape = tuple(image.shape)
            self.rows = ({"x": rng.standard_normal(shape, np.float32)} for _ in range(INPUTS))

        def get_next(self) -> dict | None:
            return next(self.rows, None)

    module, image = network(name)
    path = str(out / "fp32.onnx")
    options = {"input_names": ["x"], "external_data": False, "verbose": False}
    torch.onnx.export(module, (image,), path, dynamo=True, **options)
    onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), str(out / "fp16.onnx"))
    quant_pre_process(path, str(out / "prepared.onnx"), skip_symbolic_shape=True)
    quantize_static(
        str(out / "prepared.onnx"), str(out / "int8.onnx"), Reader(), per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip


def tflite(name: str, out: Path) -> None:
    """Three TFLite files by litert-torch and AI Edge Quantizer."""
    import litert_torch
    import numpy as np
    from ai_edge_quantizer import qtyping, quantizer, recipe, recipe_manager

    module, image = network(name)
    path = str(out / "fp32.tflite")
    channels_last = litert_torch.to_channel_last_io(module, args=[0])
    litert_torch.convert(channels_last, (image.permute(0, 2, 3, 1),)).export(path)
    rng = np.random.default_rng(0)
    shape = tuple(image.permute(0, 2, 3, 1).shape)
    rows = [{"args_0": rng.standard_normal(shape, np.float32)} for _ in range(INPUTS)]
    half = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=16, dtype=qtyping.TensorDataType.FLOAT
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    casting = recipe_manager.RecipeManager()
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    casting.add_quantization_config(".*", everything, op_config=half, algorithm_key="float_casting")
    recipes = {"fp16": casting.get_quantization_recipe(), "int8": recipe.static_wi8_ai8()}
    for precision, made in recipes.items():
        tool = quantizer.Quantizer(path)
        tool.load_quantization_recipe(made)
        ranges = tool.calibrate({"serving_default": rows}) if tool.need_calibration else None
        tool.quantize(ranges).export_model(str(out / f"{precision}.tflite"))


def coreml(name: str, out: Path) -> None:
    """Three Core ML packages by coremltools."""
    import coremltools as ct
    import torch
    from coremltools.optimize import coreml as compression

    module, image = network(name)
    program = torch.export.export(module, (image,)).run_decompositions({})
    options = {"minimum_deployment_target": ct.target.iOS17, "skip_model_load": True}
    for precision in (ct.precision.FLOAT32, ct.precision.FLOAT16):
        made = ct.convert(program, compute_precision=precision, **options)
        made.save(str(out / f"{precision.value}.mlpackage"))
    config = compression.OpLinearQuantizerConfig(mode="linear_symmetric")
    quantized = compression.linear_quantize_weights(made, compression.OptimizationConfig(config))
    quantized.save(str(out / "int8.mlpackage"))


class Cost(NamedTuple):
    """Seconds that something took, and seconds of the processor, of all cores together."""

    wall: float
    cpu: float


def cost(*command: str) -> Cost:
    """Run a command to its end; return what it took."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(time.perf_counter() - start, cpu)


def bare(model: str) -> Cost:
    """Return what the three converters take, one after the other."""
    with tempfile.TemporaryDirectory() as out:
        each = [cost(__file__, "--bare", f, "--model", model, "--out", out) for f in FORMATS]
    return Cost(sum(c.wall for c in each), sum(c.cpu for c in each))


def ours(model: str) -> Cost:
    """Return what one export of all nine files takes, proofs included."""
    with tempfile.TemporaryDirectory() as out:
        options = ["--model", model, "--format", "all", "--precision", "fp32,fp16,int8"]
        random = ["--calibration", "random", "--images", str(INPUTS), "--out", out]
        return cost("-m", "export", *options, *random)


def main() -> None:
    """Alternate the two sides and print every time and the ratio of the medians."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="mobilenet_v2")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--bare", choices=FORMATS)
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    if given.bare:
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
        globals()[given.bare](given.model, given.out)
        return
    costs: dict[str, list[Cost]] = {"bare": [], "edgeworthy": []}
    for number in range(given.rounds):
        for side, run in (("bare", bare), ("edgeworthy", ours)):
            found = run(given.model)
            costs[side].append(found)
            shown = f"{found.wall:.1f} s, {found.cpu:.1f} s of the processor"
            print(f"round {number + 1}: {side} {shown}", flush=True)
    ratios = [
        median(c[kind] for c in costs["edgeworthy"]) / median(c[kind] for c in costs["bare"])
        for kind in range(2)
    ]
    print(f"edgeworthy takes {ratios[0]:.2f}x the time of the bare converters", end="")
    print(f", {ratios[1]:.2f}x their seconds of the processor")


if __name__ == "__main__":
    main()
