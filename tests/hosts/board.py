"""An emulated ARM board: the real sshd, whose sessions are in an arm64 Debian without any runtime.

A user `pi`, a key, host keys that are known: `ssh -F DIRECTORY/ssh_config board`.
"""

import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.hosts import wall_clock
from tests.hosts.cache import run
from tests.hosts.host import MOUNT, Host
from tests.hosts.system_files import BCM2711
from tests.hosts.userland import userland

PASSWD = """root:x:0:0:root:/root:/bin/bash
sshd:x:105:65534::/run/sshd:/usr/sbin/nologin
pi:x:1000:1000::/home/pi:/bin/bash
"""
# Not ForceCommand, which refuses signals. The board has no PAM: its accounts are the file's above.
SSHD_CONFIG = """ListenAddress 0.0.0.0:22
HostKey {directory}/host_key
AuthorizedKeysFile /run/authorized_keys
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
PermitUserEnvironment yes
Subsystem sftp /usr/lib/openssh/sftp-server
ChrootDirectory {mount}
SetEnv QEMU_CPU={cpu}
"""
SSH_CONFIG = """Host board
  HostName {address}
  User pi
  IdentityFile "{directory}/user_key"
  IdentitiesOnly yes
  UserKnownHostsFile "{directory}/known_hosts"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""


class Board(Host):
    """The board; `ssh_config` is what OpenSSH needs to reach it by the name `board`."""

    name = "board"
    hostname = "raspberrypi"
    cpu = "cortex-a72"
    port = 22
    chip = BCM2711
    board = "Raspberry Pi 4 Model B Rev 1.1 (emulated)"

    @property
    def ssh_config(self) -> Path:
        """The file for `ssh -F`."""
        return self.directory / "ssh_config"

    def start(self) -> None:
        """Make keys the first time, and start it."""
        if not self.ssh_config.exists():
            self._configure()
        super().start()

    def _configure(self) -> None:
        own = self.directory
        home = own / "home"
        home.mkdir()
        run("chown", "1000:1000", home)
        for name in ("host_key", "user_key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", own / name)
        kind, key = (own / "host_key.pub").read_text().split()[:2]
        (own / "known_hosts").write_text(f"{self.address} {kind} {key}\n")
        (own / "passwd").write_text(PASSWD)
        given = {"directory": own, "mount": MOUNT, "cpu": self.cpu, "address": self.address}
        (own / "sshd_config").write_text(SSHD_CONFIG.format(**given))
        self.ssh_config.write_text(SSH_CONFIG.format(**given))

    def mounts(self) -> Iterator[str]:
        """Yield the commands: everything but the home, /tmp and /run is read-only."""
        own = shlex.quote(str(self.directory))
        yield f"mount --bind {shlex.quote(str(userland()))} {MOUNT}"
        yield f"mount -o remount,bind,ro {MOUNT}"
        yield f"mount --bind {own}/home {MOUNT}/home/pi"
        yield f"mount -t tmpfs -o mode=1777 tmpfs {MOUNT}/tmp"
        yield f"mount --bind {own}/passwd /etc/passwd"
        yield "mount -t tmpfs tmpfs /run"
        yield "mkdir -p /run/sshd"
        # Read as the user, who may not see our directories.
        yield f"cp {own}/user_key.pub /run/authorized_keys"

    @contextmanager
    def wall_clock(self) -> Iterator[Callable[[int], None]]:
        """Give programs that are started meanwhile a wall clock of their own; yield what sets it so
        many seconds off the true one, also for those that run.
        """
        home, inside = self.directory / "home", Path("/home/pi")
        library = Path(shutil.copy(wall_clock.library("arm64"), home / wall_clock.LIBRARY))
        offset, chosen = home / "clock", home / ".ssh" / "environment"
        chosen.parent.mkdir()
        variables = wall_clock.environment(inside / wall_clock.LIBRARY, inside / offset.name)
        chosen.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        wall_clock.set_off(offset, 0)
        try:
            yield lambda by: wall_clock.set_off(offset, by)
        finally:
            shutil.rmtree(chosen.parent)
            for file in (library, offset):
                file.unlink()

    def program(self) -> str:
        """Return sshd's command; its sessions are in the board's root."""
        return f"exec /usr/sbin/sshd -D -e -f {shlex.quote(str(self.directory / 'sshd_config'))}"
