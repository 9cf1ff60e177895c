"""An emulated phone: Android's adbd as the user shell, over Wi-Fi, and little else.

No dumpsys, no pm, no logcat: what is not there is not pretended to be.
"""

import os
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.hosts.cache import run
from tests.hosts.host import MOUNT, Host
from tests.hosts.phone_root import phone_root
from tests.hosts.system_files import TENSOR

SHELL = 2000  # Android's id of the user shell


class Phone(Host):
    """The phone, and the adb server of its own that it is reached by.

    Attributes:
        serial: what adb calls it.
        client: the environment for `adb`: which server to ask, one of its own with its own key.
    """

    name = "phone"
    hostname = "localhost"
    cpu = "cortex-a76"
    port = 5555
    chip = TENSOR

    @property
    def serial(self) -> str:
        """What adb calls it."""
        return f"{self.address}:{self.port}"

    def start(self) -> None:
        """Make its disk and this machine's key the first time, and start it."""
        if not hasattr(self, "client"):
            self._configure()
        super().start()
        run("adb", "start-server", HOME=str(self._home), **self.client)

    @property
    def _home(self) -> Path:
        """Where the adb server has its key."""
        return self.directory / "home"

    def _configure(self) -> None:
        (self._home / ".android").mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.client = {"ANDROID_ADB_SERVER_PORT": str(port)}
        run("adb", "keygen", self._home / ".android/adbkey")
        for name in ("local/tmp", "misc/adb"):
            (self.directory / "data" / name).mkdir(parents=True)
        os.chown(self.directory / "data/local/tmp", SHELL, SHELL)
        self.authorise()

    def authorise(self) -> None:
        """Accept this machine's key, as a tap on the phone does."""
        key = self._home / ".android/adbkey.pub"
        (self.directory / "data/misc/adb/adb_keys").write_text(key.read_text())

    def revoke(self) -> None:
        """Accept no key any more; a connection that stands is kept."""
        (self.directory / "data/misc/adb/adb_keys").write_text("")

    def disk(self, path: str) -> set[str]:
        """Return the names in a directory below /data."""
        return {entry.name for entry in (self.directory / "data" / path).iterdir()}

    def adb(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `adb` with the phone's own server."""
        return subprocess.run(
            ["adb", *arguments], env=os.environ | self.client,
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    def mounts(self) -> Iterator[str]:
        """Yield the commands: everything but /data is read-only."""
        yield f"mount --bind {shlex.quote(str(phone_root()))} {MOUNT}"
        yield f"mount -o remount,bind,ro {MOUNT}"
        yield f"mount --bind {shlex.quote(str(self.directory / 'data'))} {MOUNT}/data"

    def environment(self) -> dict[str, str]:
        """Return what Android's init gives its services."""
        android = {"ANDROID_ROOT": "/system", "ANDROID_DATA": "/data", "TMPDIR": "/data/local/tmp"}
        return super().environment() | android

    def program(self) -> str:
        """Return adbd's command; like Android's init it starts it again when it ends."""
        adbd = "/system/bin/adbd --device_banner=device"
        inside = f"env PATH=/system/bin /usr/sbin/chroot --userspec={SHELL}:{SHELL} {MOUNT} {adbd}"
        return f"set +e\nwhile :; do {inside}; sleep 0.2; done"

    def remove(self) -> None:
        """End it for good, and the adb server with it."""
        self.adb("kill-server")
        super().remove()
