"""What a device's limits ask for: to be charged at the beginning, and cool whenever it is timed."""

import time
from collections.abc import Callable

from devices.device import DeviceError, DeviceInfo, Limits, Session, WorkerError

LOOK_S = 5.0
# Ten minutes: by then a phone that lies still has cooled, or it will not.
LOOKS = 120


def check_charge(limits: Limits, info: DeviceInfo) -> None:
    """Refuse a device whose battery holds too little.

    Raises:
        DeviceError: it does, or does not tell.
    """
    least, told = limits.min_battery_percent, info.facts.get("battery")
    if least is None:
        return
    if told is None:
        raise DeviceError(
            f"device '{info.name}' does not tell of a battery; take min_battery_percent out of its "
            "limits in devices.toml"
        )
    if float(told.removesuffix("%")) < least:
        raise DeviceError(
            f"device '{info.name}' has a charge of {told}, its limits ask for {least:g} %; "
            "charge it"
        )


def cool(
    session: Session,
    limits: Limits,
    tell: Callable[[], None],
    look_s: float = LOOK_S,
    looks: int = LOOKS,
) -> None:
    """Wait until a device is no warmer than its limits allow.

    Args:
        session: a worker on it, which is not timed meanwhile.
        limits: the device's.
        tell: called before every wait.
        look_s: seconds between two looks.
        looks: how many until it is given up.

    Raises:
        WorkerError: it stays too warm, or has no sensor.
    """
    most = limits.max_temperature_c
    if most is None:
        return
    for _ in range(looks):
        found = session.sensors().temperature_c
        if found is None:
            detail = "it has no sensor; take max_temperature_c out of its limits in devices.toml"
            raise WorkerError("start", "error", detail)
        if found <= most:
            return
        tell()
        time.sleep(look_s)
    detail = f"still {found:g} °C after {looks * look_s:g} s, its limits allow {most:g} °C"
    raise WorkerError("start", "too-hot", detail)
