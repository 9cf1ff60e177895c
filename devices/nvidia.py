"""What nvidia-smi tells of the GPUs: NVML's figures, which are read and never set.

Standard library only, as it also runs in the worker.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
from contextlib import suppress

TIMEOUT_S = 20
IDENTITY = ("index", "uuid", "name", "memory.total", "driver_version", "compute_cap", "power.limit")
READINGS = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw")
# The bit mask of the reasons that lower the clocks now, by its present name and its older one.
REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
# Microseconds since the driver was loaded in which heat or power lowered the clocks; of newer
# drivers only.
COUNTERS = tuple(
    f"clocks_event_reasons_counters.{reason}"
    for reason in (
        "sw_power_cap",
        "sw_thermal_slowdown",
        "hw_thermal_slowdown",
        "hw_power_brake_slowdown",
    )
)
MIB = 1 << 20


class NvidiaError(Exception):
    """nvidia-smi is not there or tells nothing; the message says which."""


def query(fields: tuple[str, ...], gpu: str | None = None) -> list[dict[str, str]]:
    """Return the fields of every GPU, or of one, given by its index or UUID.

    What a GPU does not tell is left out. Units are nvidia-smi's: MHz, °C, W, MiB.

    Raises:
        NvidiaError: there is no nvidia-smi, or it fails.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        raise NvidiaError("no nvidia-smi, which NVIDIA's driver brings")
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    command += ["-i", gpu] if gpu else []
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NvidiaError(f"nvidia-smi does not answer: {error}") from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["no reason given"]
        raise NvidiaError(f"nvidia-smi: {said[0]}")
    rows = csv.reader(done.stdout.splitlines(), skipinitialspace=True)
    return [_known(fields, row) for row in rows if len(row) == len(fields)]


def _known(fields: tuple[str, ...], row: list[str]) -> dict[str, str]:
    """Leave out ``[N/A]``, ``[Not Supported]`` and their like."""
    pairs = zip(fields, (value.strip() for value in row))  # noqa: B905 -- Python 3.9
    return {field: value for field, value in pairs if value not in ("", "N/A") and value[0] != "["}


def gpus() -> list[dict[str, str]]:
    """Return what identifies each GPU: `IDENTITY`.

    Raises:
        NvidiaError: there is none, or nvidia-smi cannot tell.
    """
    found = query(IDENTITY)
    if not found:
        raise NvidiaError("nvidia-smi sees no GPU")
    return found


def sensors(gpu: str | None) -> dict[str, float | int | None]:
    """Return what the sensors of a GPU say now: see `devices.device.Sensors`; empty if it cannot
    be asked.
    """
    told = _readings(gpu)
    if told is None:
        return {}
    clock, memory, temperature, power = (_number(told.get(field)) for field in READINGS)
    reasons = next((told[field] for field in REASONS if field in told), None)
    lowered = [_number(told[field]) for field in COUNTERS if field in told]
    return {
        "frequency_mhz": clock,
        "memory_clock_mhz": memory,
        "temperature_c": temperature,
        "power_w": power,
        "throttle_reasons": int(reasons, 16) if reasons else None,
        "throttled_us": round(sum(us or 0 for us in lowered)) if lowered else None,
    }


def _readings(gpu: str | None) -> dict[str, str] | None:
    """Ask for everything at once, and for less where the driver refuses a field that it lacks."""
    present, older = REASONS
    for further in ((present, *COUNTERS), (present,), (older,), ()):
        with suppress(NvidiaError, ValueError):
            (told,) = query((*READINGS, *further), gpu)
            return told
    return None


def memory_used(gpu: str | None) -> int | None:
    """Return the bytes in use on a GPU, of all programs together."""
    with suppress(NvidiaError, ValueError):
        (told,) = query(("memory.used",), gpu)
        used = _number(told.get("memory.used"))
        return None if used is None else round(used * MIB)
    return None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
