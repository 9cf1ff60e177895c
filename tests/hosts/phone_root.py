"""A phone's root directory: adbd, a shell, toybox and the libraries of these, and nothing else.

They are Debian's programs. As on Android their loader and libraries are out of every other
program's sight (/system/bin/linker64, /system/lib64): what a program brings along is all it has.
"""

import os
import shutil
from pathlib import Path

from tests.hosts.adbd import adbd
from tests.hosts.cache import built, run
from tests.hosts.userland import emulated, let_arm_programs_run, userland

PROPERTIES = {
    "ro.product.name": "raven_emulated",
    "ro.product.model": "Pixel 6 Pro (emulated)",
    "ro.product.device": "raven",
    "ro.product.manufacturer": "Google",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.soc.model": "GS101",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.adb.secure": "1",
    "service.adb.tcp.port": "5555",
}
GETPROP = """#!/system/bin/sh
# Android's getprop: one property, or all of them.
while IFS== read -r key value; do
  if [ $# = 0 ]; then echo "[$key]: [$value]"
  elif [ "$key" = "$1" ]; then echo "$value"; exit
  fi
done </system/build.prop
[ $# = 0 ] || echo "$2"
"""
LOADER = "/system/bin/linker64"
LIBRARIES = "/system/lib64"
DEBIAN = ("usr/lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu/android", "lib/aarch64-linux-gnu")
LINKS = {"bin": "/system/bin", "etc": "/system/etc"}


def phone_root() -> Path:
    """Return the directory, made where it is not there."""
    program, source = adbd(), userland()
    properties = "".join(f"{key}={value}\n" for key, value in PROPERTIES.items())
    recipe = "\n".join([str(program), str(source), GETPROP, properties, LOADER, LIBRARIES])

    def make(root: Path) -> None:
        for name in ("system/bin", "system/lib64", "system/etc", "data", "dev", "proc", "sys"):
            (root / name).mkdir(parents=True)
        for name, target in LINKS.items():
            (root / name).symlink_to(target)
        for name in ("passwd", "group"):
            shutil.copy(source / "etc" / name, root / "system/etc" / name)
        (root / "system/build.prop").write_text(properties)
        (root / "system/bin/getprop").write_text(GETPROP)
        (root / "system/bin/getprop").chmod(0o755)
        _install(source, root, {"adbd": program, "sh": _program(source, "mksh"),
                                "toybox": _program(source, "toybox")})  # fmt: skip
        _link_tools(root)

    return built("phone", recipe, make)


def _program(root: Path, name: str) -> Path:
    return next(path for path in (root / "usr/bin" / name, root / "bin" / name) if path.exists())


def _install(source: Path, root: Path, programs: dict[str, Path]) -> None:
    """Copy programs with their loader and all libraries that they need, directly or not."""
    shutil.copy(_library(source, "ld-linux-aarch64.so.1"), root / LOADER.lstrip("/"))
    for name, program in programs.items():
        copy = root / "system/bin" / name
        shutil.copy(program, copy)
        run("patchelf", "--set-interpreter", LOADER, copy)
        run("patchelf", "--force-rpath", "--set-rpath", LIBRARIES, copy)
    waiting = [root / "system/bin" / name for name in programs]
    while waiting:
        for name in run("patchelf", "--print-needed", waiting.pop()).split():
            copy = root / LIBRARIES.lstrip("/") / name
            if not copy.exists():
                shutil.copy(_library(source, name), copy)
                if not name.startswith("ld-"):
                    run("patchelf", "--force-rpath", "--set-rpath", LIBRARIES, copy)
                    waiting.append(copy)


def _library(source: Path, name: str) -> Path:
    found = [source / place / name for place in DEBIAN]
    return next(path for path in found if os.path.lexists(path))


def _link_tools(root: Path) -> None:
    let_arm_programs_run()
    for tool in emulated(root, "/system/bin/toybox").split():
        link = root / "system/bin" / tool
        if not os.path.lexists(link):
            link.symlink_to("toybox")
