"""Small ONNX graphs for tests, exported by torch or written by hand, and runs of them."""

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx.reference import ReferenceEvaluator

from export.onnx_graph import tidied

Array = np.ndarray[Any, Any]


class Mixed(torch.nn.Module):
    """What networks are made of: a residual sum, an attention by channel, branches, pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.depthwise = torch.nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.squeeze = torch.nn.Conv2d(16, 16, 1)
        self.left = torch.nn.Conv2d(16, 32, 1)
        self.right = torch.nn.Conv2d(16, 32, 3, padding=1)
        self.classifier = torch.nn.Linear(64, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.relu6(self.stem(image))
        y = torch.relu(self.depthwise(x) + x)
        y = y * torch.sigmoid(self.squeeze(y.mean((2, 3), keepdim=True)))
        branches = torch.cat([torch.relu(self.left(y)), self.right(y)], 1)
        pooled = torch.nn.functional.max_pool2d(branches, 2).mean((2, 3), keepdim=True)
        logits: torch.Tensor = self.classifier(pooled.flatten(1))
        return logits


def export(network: torch.nn.Module, *shape: int, opset: int = 18) -> onnx.ModelProto:
    """Return a network's plain graph, its input called image."""
    torch.manual_seed(0)
    example = torch.zeros(shape)
    program = torch.export.export(network.eval(), (example,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        made = torch.onnx.export(
            program,
            (example,),
            dynamo=True,
            input_names=["image"],
            opset_version=opset,
            verbose=False,
        )
    assert made is not None
    return tidied(made.model_proto)


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy, for what works in place."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    return other


def run(model: onnx.ModelProto, image: Array) -> Array:
    """Return the first output by ONNX Runtime."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"image": image})[0])


def evaluate(model: onnx.ModelProto, image: Array) -> Array:
    """Return the first output by the specification's own evaluator."""
    return np.asarray(ReferenceEvaluator(model).run(None, {"image": image})[0])


def what_runs(model: onnx.ModelProto, directory: Path) -> Counter[str]:
    """Return the operators that ONNX Runtime makes of a graph, counted."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(directory / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    made = onnx.load(options.optimized_model_filepath)
    return Counter(node.op_type for node in made.graph.node)


def psnr(right: Array, got: Array) -> float:
    """Return the signal to noise ratio in decibels, as `export.verify` does."""
    return float(20 * np.log10(np.abs(right).max() / np.sqrt(np.mean((right - got) ** 2))))
