"""Top-1 and top-5."""

import pytest
import torch

from models.accuracy import Accuracy, Tally, evaluate
from models.learner import preprocessing_for
from models.registry import resolve


def test_the_label_counts_where_it_is_best_and_where_it_is_among_five():
    tally = Tally()
    scores = torch.arange(10.0).repeat(4, 1)  # class 9 is best, 5 to 9 are the five best
    tally.add(scores[:2], torch.tensor([9, 5]))
    tally.add(scores[2:], torch.tensor([4, 0]))
    assert tally.accuracy() == Accuracy(top1=0.25, top5=0.5)


@pytest.mark.parametrize("classes", [2, 5])
def test_top5_says_nothing_of_five_classes_or_fewer(classes):
    tally = Tally()
    tally.add(torch.eye(classes), torch.arange(classes))
    assert tally.accuracy() == Accuracy(top1=1.0, top5=None)


def test_all_images_are_counted_the_last_batch_too(halves):
    class Always(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([[0.0, 1.0]]).repeat(len(x), 1)

    how = preprocessing_for(resolve("lenet5"), halves)
    assert evaluate(Always(), halves, how, batch=10).top1 == 0.5
