"""What is not profiled at all."""

import pytest

from bench.profiling import ProfileError, profile
from tests.bench.fake_device import FakeDevice
from tests.bench.running import cells


def test_an_emulated_device_is_refused_by_name_before_anything_runs(root):
    device = FakeDevice(name="qemu", emulated=True)
    with pytest.raises(ProfileError, match="device 'qemu' is emulated") as caught:
        profile(cells(root, device)[0], lambda artifact, operators: [])
    assert caught.value.exit_code == 3
    assert device.log == []
