"""The search keeps as few layers in float as the accuracy asks for, in few attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.auto import fewest

LAYERS = tuple(f"layer{i}" for i in range(28))


class Attempts:
    """Files are good once all of `needed` stay float; counts how many were made."""

    def __init__(self, needed: set[str]) -> None:
        self.needed, self.made = needed, []

    def __call__(self, kept) -> bool:
        assert kept not in self.made, "a file was made twice"
        self.made.append(kept)
        return self.needed <= set(kept)


@given(st.integers(1, 28))
def test_the_shortest_beginning_that_will_do_is_found(count: int) -> None:
    attempts = Attempts(set(LAYERS[:count]))
    assert fewest(LAYERS, attempts) == LAYERS[:count]
    assert len(attempts.made) <= 18


@pytest.mark.parametrize("needed", [{"layer0"}, {"layer2"}, {"layer1", "layer6"}])
def test_layers_that_it_does_without_become_integers_again(needed: set[str]) -> None:
    assert set(fewest(LAYERS, Attempts(needed)) or ()) == needed


def test_a_network_that_no_layer_saves_is_told() -> None:
    assert fewest(LAYERS, lambda kept: False) is None
    assert fewest((), lambda kept: True) is None


def test_one_layer_is_tried_once() -> None:
    attempts = Attempts({"layer0"})
    assert fewest(LAYERS[:1], attempts) == ("layer0",)
    assert attempts.made == [("layer0",)]
