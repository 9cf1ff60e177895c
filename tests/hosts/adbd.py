"""Android's own adbd, built for arm64 Linux from the sources of Debian's adb."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.hosts.cache import built, run
from tests.hosts.userland import KEYRING, SUITE, mirror, userland

VERSION = "29.0.6"
SOURCE = "android-platform-tools"
HEADERS = (
    "android-libbase-dev", "android-libcutils-dev", "android-liblog-dev",
    "android-libboringssl-dev", "android-platform-system-core-headers", "libcap-dev",
)  # fmt: skip
PROPERTIES = Path(__file__).with_name("adbd.cpp")
PARTS = (
    "adb", "base", "diagnose_usb", "include", "libasyncio", "libcrypto_utils", "libcutils",
    "liblog",
)  # fmt: skip
SOURCES = (
    "adb.cpp", "adb_io.cpp", "adb_listeners.cpp", "adb_trace.cpp", "adb_unique_fd.cpp",
    "adb_utils.cpp", "fdevent/fdevent.cpp", "fdevent/fdevent_poll.cpp",
    "fdevent/fdevent_epoll.cpp", "services.cpp", "sockets.cpp", "socket_spec.cpp",
    "sysdeps/errno.cpp", "transport.cpp", "transport_fd.cpp", "transport_local.cpp",
    "transport_usb.cpp", "types.cpp", "sysdeps_unix.cpp", "sysdeps/posix/network.cpp",
    "daemon/auth.cpp", "daemon/jdwp_service.cpp", "daemon/usb_dummy.cpp",
    "daemon/file_sync_service.cpp", "daemon/services.cpp", "daemon/shell_service.cpp",
    "shell_service_protocol.cpp", "daemon/main.cpp", "adbconnection/adbconnection_server.cpp",
    "../diagnose_usb/diagnose_usb.cpp", "../../../frameworks/native/libs/adbd_auth/adbd_auth.cpp",
    "../libasyncio/AsyncIO.cpp", "../libcrypto_utils/android_pubkey.c",
)  # fmt: skip
FLAGS = (
    "-O1", "-w", "-D_GNU_SOURCE", "-DADB_HOST=0", "-DALLOW_ADBD_ROOT=1", "-DALLOW_ADBD_NO_AUTH=1",
    f'-DPLATFORM_TOOLS_VERSION="{VERSION}"', f'-DADB_VERSION="{VERSION}"',
)  # fmt: skip
CPP_FLAGS = ("-std=gnu++2a", "-include", "atomic", "-include", "optional")
INCLUDES = (
    ".", "daemon/include", "adbconnection/include",
    *(f"../{part}/include" for part in PARTS if part not in ("adb", "include")),
    "../include", "../../../frameworks/native/libs/adbd_auth/include",
)  # fmt: skip
# Android's tracing is not there, and its thread annotations do not compile with GCC.
NO_TRACE = "#pragma once\n#define ATRACE_CALL()\n#define ATRACE_NAME(name)\n"
ANNOTATION = "#define THREAD_ANNOTATION_ATTRIBUTE__(x)"


def adbd() -> Path:
    """Return adbd's program, made in about a minute where it is not there."""
    recipe = "\n".join(
        [VERSION, *HEADERS, *SOURCES, *FLAGS, *CPP_FLAGS, *INCLUDES, PROPERTIES.read_text()]
    )
    return built("adbd", recipe, _make) / "adbd"


def _make(directory: Path) -> None:
    sources, headers = directory / "sources", directory / "headers"
    sources.mkdir()
    headers.mkdir()
    apt = _apt(directory / "apt")
    run(*apt, "update", "-qq")
    _unpack(apt, sources)
    _unpack_headers(apt, headers)
    _compile(sources / "system/core/adb", headers, directory / "adbd")
    for part in (sources, headers, directory / "apt"):
        run("rm", "-rf", part)


def _apt(directory: Path) -> list[str]:
    """Return an apt-get that knows arm64's packages and all sources, and keeps to a directory."""
    for name in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
        (directory / name).mkdir(parents=True)
    (directory / "status").touch()
    entry = f"[signed-by={KEYRING}] {mirror()} {SUITE} main\n"
    (directory / "etc/sources.list").write_text(f"deb {entry}deb-src {entry}")
    options = {
        "Dir::Etc": directory / "etc",
        "Dir::State": directory / "state",
        "Dir::Cache": directory / "cache",
        "Dir::State::status": directory / "status",
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    return ["apt-get", *(word for name in options for word in ("-o", f"{name}={options[name]}"))]


def _unpack(apt: list[str], directory: Path) -> None:
    """Fetch the source package, and unpack what adbd needs of it, with Debian's patches."""
    run(*apt, "source", "-qq", "--download-only", SOURCE, cwd=directory)
    wanted = [f"*/system/core/{part}/*" for part in PARTS]
    wanted.append("*/frameworks/native/libs/adbd_auth/*")
    original, debian = (next(directory.glob(f"*.{part}.tar.*")) for part in ("orig", "debian"))
    run("tar", "xf", original, "--strip-components=1", "--wildcards", *wanted, cwd=directory)
    run("tar", "xf", debian, cwd=directory)
    patches = directory / "debian/patches"
    for name in (patches / "series").read_text().splitlines():
        if name.startswith(("system/", "cve/")):
            # Some are for parts that were not unpacked.
            apply = 'patch -p1 -N -s -r - -i "$0" >/dev/null 2>&1 || true'
            run("sh", "-c", apply, patches / name.split()[0], cwd=directory)


def _unpack_headers(apt: list[str], directory: Path) -> None:
    run(*apt, "download", "-qq", *HEADERS, cwd=directory)
    for package in directory.glob("*.deb"):
        run("dpkg-deb", "-x", package, directory)
    installed = directory / "usr/include"
    for name, text in (
        ("utils/Trace.h", NO_TRACE),
        ("android-base/thread_annotations.h", _annotations(installed)),
        ("sys/capability.h", (installed / "sys/capability.h").read_text()),
    ):
        (directory / "mended" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "mended" / name).write_text(text)


def _annotations(installed: Path) -> str:
    text = (installed / "android/android-base/thread_annotations.h").read_text()
    lines = text.splitlines(keepends=True)
    return "".join(f"{ANNOTATION}\n" if line.startswith(ANNOTATION) else line for line in lines)


def _compile(directory: Path, headers: Path, target: Path) -> None:
    objects = directory / "objects"
    objects.mkdir()
    first, last = ["-I", headers / "mended"], ["-I", headers / "usr/include/android"]
    places = [word for place in INCLUDES for word in ("-I", place)]
    # Of Debian's own headers and the sources', the sources' come last.
    common = ["-c", *FLAGS, *first, *places[-2:], *last, *places[:-2]]

    def compiled(job: tuple[str, Path]) -> Path:
        source, output = job
        is_c = source.endswith(".c")
        compiler = ["aarch64-linux-gnu-gcc"] if is_c else ["aarch64-linux-gnu-g++", *CPP_FLAGS]
        run(*compiler, *common, "-o", output, source, cwd=directory)
        return output

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(compiled, _jobs(objects)))
    run("aarch64-linux-gnu-g++", "-s", "-o", target, *made, *_libraries(), cwd=directory)


def _jobs(objects: Path) -> Iterator[tuple[str, Path]]:
    for number, source in enumerate([*SOURCES, str(PROPERTIES)]):
        yield source, objects / f"{number}.o"


def _libraries() -> list[str]:
    system = userland() / "usr/lib/aarch64-linux-gnu"
    first = userland() / "lib/aarch64-linux-gnu"
    libraries = ["base.so.0", "cutils.so.0", "log.so.0", "crypto.so.0"]
    return [
        f"-L{system}/android", *(f"-l:lib{name}" for name in libraries),
        f"-L{first}", "-l:libcap.so.2", "-lresolv", "-lpthread", "-Wl,--allow-shlib-undefined",
    ]  # fmt: skip
