"""Reading nvidia-smi, against a program that answers as it does."""

from pathlib import Path

import pytest

from devices import nvidia
from tests.devices.fake_nvidia_smi import TELLS, install


@pytest.fixture(autouse=True)
def only_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose own nvidia-smi, if it has one, is not found."""
    monkeypatch.setenv("PATH", str(tmp_path))


def without(*fields: str) -> dict[str, str]:
    return {field: value for field, value in TELLS.items() if field not in fields}


def test_without_the_program_it_says_what_is_missing() -> None:
    with pytest.raises(nvidia.NvidiaError, match="no nvidia-smi"):
        nvidia.gpus()


def test_a_name_with_a_comma_is_one_field(tmp_path: Path) -> None:
    install(tmp_path, TELLS)
    (gpu,) = nvidia.gpus()
    assert (gpu["name"], gpu["memory.total"]) == ("NVIDIA T1000, 8GB", "8192")


def test_no_gpu_is_an_error_in_its_own_words(tmp_path: Path) -> None:
    install(tmp_path)
    with pytest.raises(nvidia.NvidiaError, match="No devices were found"):
        nvidia.gpus()


def test_the_sensors_of_one_gpu_are_read_by_its_uuid(tmp_path: Path) -> None:
    install(tmp_path, {**TELLS, "uuid": "GPU-other", "temperature.gpu": "30"}, TELLS)
    assert nvidia.sensors("GPU-5f1c") == {
        "frequency_mhz": 1395.0,
        "memory_clock_mhz": 5000.0,
        "temperature_c": 61.0,
        "power_w": 48.25,
        "throttle_reasons": 4,
        "throttled_us": 2000,
    }
    assert nvidia.memory_used("GPU-5f1c") == 512 * 2**20


@pytest.mark.parametrize("word", ["[N/A]", "[Not Supported]", "N/A", "[Unknown Error]"])
def test_what_a_gpu_does_not_tell_is_none(tmp_path: Path, word: str) -> None:
    install(tmp_path, {**TELLS, "power.draw": word, "memory.used": word})
    found = nvidia.sensors("0")
    assert found["power_w"] is None
    assert found["temperature_c"] == 61.0
    assert nvidia.memory_used("0") is None


def test_an_older_driver_has_the_reasons_by_their_older_name_and_no_counters(
    tmp_path: Path,
) -> None:
    older = without("clocks_event_reasons.active", *nvidia.COUNTERS)
    install(tmp_path, {**older, "clocks_throttle_reasons.active": "0x0000000000000001"})
    found = nvidia.sensors("0")
    assert (found["throttle_reasons"], found["throttled_us"]) == (1, None)


def test_sensors_of_a_gpu_that_is_gone_are_none_at_all(tmp_path: Path) -> None:
    install(tmp_path, TELLS)
    assert nvidia.sensors("GPU-gone") == {}
    assert nvidia.memory_used("GPU-gone") is None
