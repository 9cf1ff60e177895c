"""An nvidia-smi of tests: a program that answers ``--query-gpu`` as the real one does."""

import json
import sys
from pathlib import Path

TELLS = {
    "index": "0",
    "uuid": "GPU-5f1c",
    "name": "NVIDIA T1000, 8GB",
    "memory.total": "8192",
    "driver_version": "580.65.06",
    "compute_cap": "7.5",
    "power.limit": "50.00",
    "clocks.sm": "1395",
    "clocks.mem": "5000",
    "temperature.gpu": "61",
    "power.draw": "48.25",
    "memory.used": "512",
    "clocks_event_reasons.active": "0x0000000000000004",
    "clocks_event_reasons_counters.sw_power_cap": "1500",
    "clocks_event_reasons_counters.sw_thermal_slowdown": "500",
    "clocks_event_reasons_counters.hw_thermal_slowdown": "0",
    "clocks_event_reasons_counters.hw_power_brake_slowdown": "0",
}
PROGRAM = """#!{python}
import csv, sys
gpus = {gpus!r}
options = sys.argv[1:]
wanted = options[0].removeprefix("--query-gpu=").split(",")
assert options[1] == "--format=csv,noheader,nounits", options
if "-i" in options:
    name = options[options.index("-i") + 1]
    gpus = [gpu for gpu in gpus if name in (gpu["index"], gpu["uuid"])]
for field in wanted:
    if any(field not in gpu for gpu in gpus):
        print(f'Field "{{field}}" is not a valid field to query.\\n')
        sys.exit(2)
if not gpus:
    print("No devices were found")
    sys.exit(6)
for gpu in gpus:
    print(", ".join(f'"{{gpu[f]}}"' if "," in gpu[f] else gpu[f] for f in wanted))
"""


def install(directory: Path, *gpus: dict[str, str]) -> Path:
    """Write the program into `directory`; what a GPU lacks is a field that the driver lacks."""
    program = directory / "nvidia-smi"
    told = json.loads(json.dumps(list(gpus)))
    program.write_text(PROGRAM.format(python=sys.executable, gpus=told))
    program.chmod(0o755)
    return program
