"""The learning curve, read as the SVG text that it is."""

import re
from dataclasses import replace

import pytest

from models.curve import draw
from models.training_log import Epoch

ROW = Epoch(1, 0.1, 2.0, 0.5, 0.75, None, None, 3.25)
LOG = [replace(ROW, epoch=n, loss=2 / n, train_top1=1 - 1 / (n + 1)) for n in range(1, 41)]


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]+)</text>", svg)


def test_axes_have_titles_with_units_and_lines_have_names():
    svg = draw([replace(row, val_top1=row.train_top1 - 0.1) for row in LOG], "lenet5 on x")
    found = texts(svg)
    assert {"lenet5 on x", "epoch", "loss (cross-entropy, nats)", "top-1 accuracy (%)"} <= {*found}
    assert (found.count("training"), found.count("held out")) == (2, 1)
    assert "kept: epoch 40, 87.56 % of the held-out images" in found
    assert 'fill="white"' in svg


def test_without_held_out_images_there_is_no_word_of_them():
    assert not any("held" in text for text in texts(draw(LOG, "x")))


@pytest.mark.parametrize(
    ("epochs", "ticks"),
    [(1, ["1"]), (3, ["1", "2", "3"]), (40, [str(n) for n in range(4, 41, 4)])],
)
def test_epochs_are_whole_numbers_each_named_once(epochs, ticks):
    svg = draw(LOG[:epochs], "x")
    labels = re.findall(r'role-axis-label".*?</g>', svg, re.DOTALL)
    assert [texts(group) for group in labels].count(ticks) == 2


def test_names_of_lines_that_end_together_do_not_overlap():
    svg = draw([replace(row, val_top1=row.train_top1) for row in LOG], "x")
    places = re.findall(r"<text[^>]*translate\([\d.]+,([\d.]+)\)[^>]*>(training|held out)<", svg)
    panel = [float(y) for y, _ in places[-2:]]
    assert abs(panel[0] - panel[1]) >= 12
