"""Running the matrix on devices of tests."""

import shutil

from msgspec.structs import replace

from bench.matrix import Choice, Effort, describe, plan, select
from bench.run import run_matrix
from export.artifact import read_manifest, write_manifest
from tests.tiny import tiny_onnx

NAMES = ("a", "b", "c")


class Collector:
    """Keeps what a run tells."""

    def __init__(self):
        self.records = {}
        self.stages = []

    def progress(self, cell, stage, rounds):
        self.stages.append((cell.artifact.manifest.network.name, stage, len(rounds)))

    def record(self, cell, record):
        self.records[cell.artifact.manifest.network.name] = record


def cells(root, device, choice=None, effort=None, patterns=()):
    chosen, targets = select(root, patterns), describe([device])
    return plan(chosen, targets, choice or Choice(), effort or Effort())


def measure(root, device, accuracy=None, **settings):
    collector = Collector()
    run_matrix(cells(root, device, **settings), collector, accuracy)
    return collector.records


def two_precisions(root):
    """Write one network as fp32 and, by its manifest, as fp16 in a smaller file."""
    first = tiny_onnx(root)
    second = first.with_name("onnx-fp16")
    shutil.copytree(first, second)
    manifest = read_manifest(second)
    smaller = replace(manifest, precision="fp16", size_bytes=manifest.size_bytes - 100)
    write_manifest(second, smaller)
    return root
