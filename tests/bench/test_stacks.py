import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.stacks import stacks, stretches

PARTS = st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=12)


@given(PARTS)
def test_every_part_is_in_the_stack_of_its_length(parts):
    flat = np.array([value for part in parts for value in part], dtype=np.int64)
    found = {}
    for numbers, stack in stacks(flat, [*map(len, parts)]):
        assert stack.shape[0] == len(numbers)
        found |= dict(zip(numbers.tolist(), stack.tolist(), strict=True))
    assert found == dict(enumerate(parts))


@given(PARTS)
def test_a_stretch_is_where_its_part_lies(parts):
    flat = [value for part in parts for value in part]
    assert [flat[place] for place in stretches([*map(len, parts)])] == parts
