"""Write devices/locks: which wheels a board gets, by runtime, Python and architecture.

    python docs/lock_wheels.py

pip resolves each for a machine that is not this one, and tells the hashes; what there is no wheel
of for some Python gets no file. Only what importing the runtime really needs is listed below.
"""

import json
import subprocess
import sys
from itertools import product

from devices.wheels import LOCKS, Target

PYTHONS = ("cp39", "cp310", "cp311", "cp312", "cp313")
ARCHITECTURES = ("aarch64", "x86_64")
PACKAGES = {"litert": ("ai-edge-litert", "numpy"), "onnxruntime": ("onnxruntime", "numpy")}


def resolved(target: Target, packages: tuple[str, ...]) -> list[str] | None:
    """Return pinned requirements with their hashes, None if there is no wheel of one of them."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command = [*pip, "--report=-", "--target=.", *target.download, *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found = json.loads(done.stdout)["install"]
    return sorted(
        f"{item['metadata']['name']}=={item['metadata']['version']} "
        f"--hash=sha256:{item['download_info']['archive_info']['hashes']['sha256']}\n"
        for item in found
    )


def main() -> None:
    """Write every file that there are wheels for."""
    LOCKS.mkdir(exist_ok=True)
    for python, architecture, runtime in product(PYTHONS, ARCHITECTURES, PACKAGES):
        target = Target(python, architecture)
        found = resolved(target, PACKAGES[runtime])
        names = ", ".join(line.split(" ")[0] for line in found or [])
        print(f"{runtime} {python} {architecture}: {names or 'none'}")
        if found:
            target.lock(runtime).write_text("".join(found), encoding="utf-8")


if __name__ == "__main__":
    main()
