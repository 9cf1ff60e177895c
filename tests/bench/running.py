"""Running the matrix on devices of tests."""

from bench.matrix import Choice, Effort, describe, plan, select
from bench.run import run_matrix

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
