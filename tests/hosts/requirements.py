"""What emulated hosts need of this machine."""

import os
import shutil
from pathlib import Path

PACKAGES = {
    "adb": "adb",
    "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "patch": "patch",
    "patchelf": "patchelf",
    "qemu-aarch64-static": "qemu-user-static",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
    "unshare": "util-linux",
}


def unmet() -> str:
    """Return why this machine cannot run emulated hosts, with the remedy; empty if it can."""
    if os.geteuid() != 0:
        return "emulated hosts need root: namespaces, mounts and a network device"
    if not Path("/dev/net/tun").exists():
        return "emulated hosts need /dev/net/tun: load the kernel's module tun"
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    wanted = [
        package for program, package in PACKAGES.items() if not shutil.which(program, path=path)
    ]
    return f"emulated hosts need: apt-get install {' '.join(wanted)}" if wanted else ""
