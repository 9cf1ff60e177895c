"""``edgeworthy export inspect``: what a model file says of itself, and where its bytes are."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from export.artifact import Tensor
    from export.inspected import Inspected

EXIT_CODES = """\b
Exit codes:
  0  the file was read
  1  the contract inside it disagrees with its graph, or with its artifact's manifest
  2  it cannot be read, or is no model file
"""
FORMAT_NAMES = {"onnx": "ONNX", "tflite": "TFLite", "coreml": "Core ML"}


@click.command("inspect", epilog=EXIT_CODES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--why", is_flag=True, help="Show where the bytes are, by part and layer.")
@click.option(
    "--against",
    "other",
    type=click.Path(path_type=Path),
    metavar="OTHER",
    help="With --why: what grew against another file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(*, file: Path, why: bool, other: Path | None, as_json: bool) -> None:
    """Explain FILE: its inputs and outputs, how to feed it, what it computes in.

    FILE is a .onnx, .tflite or .mlpackage, wherever it came from, or an artifact's directory, whose
    manifest must then agree with what is inside the file.
    """
    if other and not why:
        raise click.UsageError("--against compares where the bytes are: add --why")
    if why:
        from export import cli_why

        cli_why.show(file, other, as_json=as_json)
        return
    from export.inspected import inspected

    found = inspected(file)
    if as_json:
        import msgspec

        data: dict[str, Any] = msgspec.to_builtins(found)
        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2))
    else:
        _print(found)
    for line in found.disagreements:
        click.echo(f"error: {line}", err=True)
    sys.exit(1 if found.disagreements else 0)


def _print(found: "Inspected") -> None:
    from bench import units

    known = "" if found.embedded else " (by what it computes in)"
    click.echo(
        f"{Path(found.path).name}: {FORMAT_NAMES[found.format]}, {found.precision}{known}, "
        f"{units.size(found.size_bytes)}"
    )
    if found.embedded is None:
        click.echo("no contract of edgeworthy inside: what follows is what the graph shows")
    click.echo()
    click.echo(_interface(found))
    click.echo()
    _print_facts(found)
    click.echo()
    click.echo(_operators(found))
    click.echo()
    _print_computation(found)


def _interface(found: "Inspected") -> str:
    from models.table import table

    sides = (("input", found.contract.inputs), ("output", found.contract.outputs))
    rows = [[side, *_port(tensor, found)] for side, tensors in sides for tensor in tensors]
    rows += [["output", name, "", "", kind, "", ""] for name, kind in found.labels.items()]
    return table(
        ["", "name", "shape", "layout", "type", "scale", "zero point"], rows, {0, 1, 2, 3, 4}
    )


def _port(tensor: "Tensor", found: "Inspected") -> list[object]:
    if picture := found.pictures.get(tensor.name):
        return [tensor.name, "", "", picture.words, "", ""]
    return [
        tensor.name,
        "x".join(str(size or "?") for size in tensor.shape),
        tensor.layout,
        tensor.dtype,
        "" if tensor.scale is None else f"{tensor.scale:.6g}",
        "" if tensor.zero_point is None else tensor.zero_point,
    ]


def _print_facts(found: "Inspected") -> None:
    from export import wording

    contract, inside = found.contract, found.embedded
    facts = {
        "network": inside.network if inside else "",
        "batch": "any" if contract.dynamic_batch else "fixed",
        "preprocessing": wording.preprocessing(contract.preprocessing),
        "postprocessing": contract.postprocessing,
        "classes": ", ".join(contract.classes or ()),
        "opset": str(inside.opset or "") if inside else "",
        "made with": ", ".join(f"{k} {v}" for k, v in inside.tools.items()) if inside else "",
    }
    for name, words in facts.items():
        if words:
            _fact(name, words)
    if picture := found.pictures.get(contract.inputs[0].name):
        click.echo("\nfrom a PIL image of that size, given as a picture, not as an array:")
        click.echo(f'    x = image.convert("{picture.mode}")')
    elif steps := wording.feeding(contract):
        click.echo("\nfrom a PIL image of that size, with numpy as np:")
        click.echo("\n".join(f"    {step}" for step in steps))


def _fact(name: str, words: str) -> None:
    import textwrap

    from models.table import terminal_width

    width = terminal_width() - 16
    lines = textwrap.wrap(words, width, break_on_hyphens=False)
    click.echo(f"{name:<16}" + f"\n{'':16}".join(lines))


def _operators(found: "Inspected") -> str:
    from bench import units
    from models.table import table

    rows = [
        [k.kind, k.count, k.computes_in, units.size(k.weight_bytes) if k.weight_bytes else ""]
        for k in found.operators
    ]
    return table(["operator", "count", "computes in", "weights"], rows, {0, 2})


def _print_computation(found: "Inspected") -> None:
    from bench import units

    counted = found.computation
    linear = ", ".join(f"{count} in {dtype}" for dtype, count in counted.linear.items())
    operators = ", ".join(f"{count} in {dtype}" for dtype, count in counted.operators.items())
    stored = ", ".join(f"{units.size(b)} {dtype}" for dtype, b in counted.weight_bytes.items())
    _fact("computes", f"{linear or 'none'} (convolutions and matrix products); all: {operators}")
    _fact("stored", stored or "no constants")
    if doubt := counted.doubt(found.precision):
        _fact("note", doubt)
