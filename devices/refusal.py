"""What a runtime means that refuses a file: the operator it stumbles over, and what to do.

Runtimes answer with the place in their own source; the words below are those of ONNX Runtime 1.17
to 1.31 and of TFLite's interpreter, tflite-runtime 2.14 to LiteRT 2.3.
"""

import re
from typing import NamedTuple

NEWER_ONNX = "install a newer onnxruntime there"
NEWER_TFLITE = "install a newer runtime there (ai-edge-litert)"
PRECISION = "export at another precision: fp32 asks for least, int4-weights for most"


class Rule(NamedTuple):
    """The runtime's words, what they mean (its groups filled in), and the remedy."""

    words: str
    told: str
    remedy: str


RULES = (
    Rule(
        r"model IR version: (\d+), max supported IR version: (\d+)",
        "the file is of IR version {0}, this runtime reads up to {1}",
        f"{NEWER_ONNX}, or {PRECISION}",
    ),
    Rule(
        r"Opset (\d+) is under development.* is till opset (\d+)",
        "the file is of opset {0}, this runtime reads up to {1}",
        f"{NEWER_ONNX}, or {PRECISION}",
    ),
    Rule(
        r"No Op registered for (\w+) with domain_version of (\d+)",
        "operator {0} of opset {1} is not known to it",
        NEWER_ONNX,
    ),
    Rule(
        r"Could not find an implementation for (\w+)\((\d+)\) node with name '(.*?)'",
        "operator {0} ('{2}') has no kernel there for the numbers it computes in",
        f"{NEWER_ONNX}, or {PRECISION}",
    ),
    Rule(
        r"find op for builtin opcode '(\w+)' version '(\d+)'",
        "operator {0} in version {1} is newer than it",
        f"{NEWER_TFLITE}, or {PRECISION}",
    ),
    Rule(
        r"Node number (\d+) \((\w+)\) failed to prepare",
        "operator {1} (number {0}) does not take these types or shapes there",
        f"{NEWER_TFLITE}, or {PRECISION}",
    ),
)


def explained(detail: str) -> str:
    """Return a runtime's message with the operator and the remedy before it, where it is known."""
    for rule in RULES:
        if found := re.search(rule.words, detail):
            return f"{rule.told.format(*found.groups())}: {rule.remedy} (it said: {detail})"
    return detail
