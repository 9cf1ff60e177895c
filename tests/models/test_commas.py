"""A list with commas, given once or in parts."""

import click
import pytest
from click.testing import CliRunner

from models.commas import joined


@click.command()
@click.option("--format", multiple=True, callback=joined)
@click.option("--precision", multiple=True, callback=joined, default=("fp32",))
def command(format, precision):
    click.echo(f"{format} {precision}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "None fp32"),
        ("--format onnx,tflite", "onnx,tflite fp32"),
        ("--format onnx --format tflite --precision int8", "onnx,tflite int8"),
    ],
)
def test_lists_given_several_times_are_one(arguments, told):
    assert CliRunner().invoke(command, arguments).output == f"{told}\n"
