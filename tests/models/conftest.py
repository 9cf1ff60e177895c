"""What the tests of training share: images that can be learnt, and a network's fingerprint."""

import hashlib

import numpy as np
import pytest

from models.data import Dataset, open_dataset
from models.images import ArraySource


@pytest.fixture
def small(sample):
    """A hundred real images."""
    return open_dataset(str(sample), "train").sample(100, 0)


@pytest.fixture
def halves():
    """Two classes that a network must tell apart: bright above, or bright below."""
    labels = np.arange(64) % 2
    pixels = np.random.default_rng(0).integers(0, 60, (64, 28, 28), dtype=np.uint8)
    pixels[labels == 0, :14] += 150
    pixels[labels == 1, 14:] += 150
    return Dataset("halves", ("above", "below"), ArraySource(pixels), np.arange(64), labels)


@pytest.fixture(scope="session")
def digest():
    """The sha256 over a module's state."""

    def of(module):
        total = hashlib.sha256()
        for tensor in module.state_dict().values():
            total.update(tensor.contiguous().numpy().tobytes())
        return total.hexdigest()

    return of
