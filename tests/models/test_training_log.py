"""Epochs as rows."""

import csv
from dataclasses import replace

from models.training_log import Epoch, as_csv, best_epoch

ROW = Epoch(1, 0.1, 2.0, 0.5, 0.75, None, None, 3.25)


def test_a_row_a_line_and_what_is_not_there_is_empty():
    rows = list(csv.DictReader(as_csv([ROW, replace(ROW, epoch=2, val_top1=0.625)]).splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [row["val_top1"] for row in rows] == ["", "0.625"]
    assert list(rows[0]) == [
        "epoch", "lr", "loss", "train_top1", "train_top5", "val_top1", "val_top5", "seconds",
    ]  # fmt: skip


def test_the_first_best_epoch_is_kept_and_the_last_where_none_is_judged():
    log = [replace(ROW, epoch=n) for n in (1, 2, 3, 4)]
    assert best_epoch(log) == 4
    judged = [replace(r, val_top1=v) for r, v in zip(log, (0.1, 0.5, 0.5, 0.2), strict=True)]
    assert best_epoch(judged) == 2


def test_a_row_reads_as_one_line():
    assert ROW.text == "loss 2.0000, top-1 50.00 %, 3 s"
    assert "held out 12.50 %" in replace(ROW, val_top1=0.125).text
