"""An arm64 Debian userland: what the emulated board has, and where the phone's parts come from."""

import subprocess
from pathlib import Path

from tests.hosts.cache import BuildError, built, run

SUITE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
BOARD = (
    "base-files", "base-passwd", "bash", "coreutils", "dash", "findutils", "grep", "gzip",
    "hostname", "libc-bin", "libgomp1", "libstdc++6", "mawk", "openssh-sftp-server", "procps",
    "python3", "sed", "tar", "util-linux",
)  # fmt: skip
PHONE = (
    "android-libbase", "android-libboringssl", "android-libcutils", "android-liblog", "libcap2",
    "mksh", "toybox",
)  # fmt: skip
ACCOUNTS = {"pi": 1000, "shell": 2000}
BINFMT = Path("/proc/sys/fs/binfmt_misc")
NO_TEXTS = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


def mirror() -> str:
    """Return where this machine takes Debian's packages from.

    Raises:
        BuildError: it does not.
    """
    wanted = ("Origin: Debian", "Label: Debian", "Component: main", "Created-By: Packages")
    uris = run("apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted).split()
    if not uris:
        raise BuildError("no Debian mirror among apt's sources; on Debian run: apt-get update")
    return uris[0]


def userland() -> Path:
    """Return the userland's directory, made in about half a minute where it is not there."""
    return built("userland", " ".join([SUITE, *BOARD, *PHONE]), _extract)


def _extract(directory: Path) -> None:
    run(
        "mmdebstrap", "--quiet", "--mode=root", "--architectures=arm64", "--variant=extract",
        f"--include={','.join([*BOARD, *PHONE])}", '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude={path}" for path in NO_TEXTS),
        SUITE, directory, f"deb {mirror()} {SUITE} main",
    )  # fmt: skip
    master = directory / "usr/share/base-passwd"
    for name, fields in (("passwd", "{number}::/home/{name}:/bin/bash"), ("group", "")):
        lines = [
            f"{user}:x:{number}:" + fields.format(number=number, name=user)
            for user, number in ACCOUNTS.items()
        ]
        base = (master / f"{name}.master").read_text()
        (directory / "etc" / name).write_text(base + "\n".join(lines) + "\n")
    for name in ("proc", "sys", "dev", "run", "tmp", "home/pi"):
        (directory / name).mkdir(parents=True, exist_ok=True)


def let_arm_programs_run() -> None:
    """Have the kernel start arm64 programs in QEMU, also where its program cannot be seen.

    Raises:
        BuildError: the kernel does not let us.
    """
    if not (BINFMT / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT)
    if (BINFMT / "qemu-aarch64").exists():
        return
    try:
        rule = Path("/usr/lib/binfmt.d/qemu-aarch64.conf").read_text().strip()
        (BINFMT / "register").write_text(rule)
    except OSError as error:
        raise BuildError(f"cannot register QEMU for arm64 programs: {error}") from None


def emulated(root: Path, program: str, *arguments: str) -> str:
    """Run an arm64 program of a root directory and return what it prints."""
    done = subprocess.run(
        ["/usr/sbin/chroot", root, program, *arguments],
        env={"QEMU_CPU": "cortex-a72", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout
