"""An emulated machine: namespaces of its own over an arm64 root directory, behind a link.

Everything in it is one process tree: killed as a whole, it leaves nothing behind.
"""

import fcntl
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import ClassVar

from tests.hosts import link
from tests.hosts.cache import BuildError, root
from tests.hosts.system_files import Chip, cpuinfo, write_sysfs

MOUNT = "/mnt"  # where its root is, in its own view of the file system
NETWORK = "198.18"  # set aside for tests of network equipment (RFC 2544)
LINKS = 64
START_S = 10.0
EMULATOR = "aarch64-binfmt-P"
MEMORY = Path("/sys/fs/cgroup/memory")
FAREWELL_S = 0.05  # for the last packets of a host that ends


class Link:
    """The way to a host, which can be slow or dead."""

    def __init__(self, namespace: int, slot: "Slot", profile: str, guard: list[str]) -> None:
        self.profile = profile
        self._process = subprocess.Popen(
            [
                *guard, sys.executable, link.__file__,
                f"--namespace={namespace}", f"--device=edgehost{slot.number}",
                f"--local={slot.local}", f"--remote={slot.remote}", f"--profile={profile}",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[slot.handle],
        )  # fmt: skip
        self.pid = self._process.pid
        if self._answer() != profile:
            self.close()
            raise BuildError("the link did not start; its reason is above")

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def use(self, profile: str) -> None:
        """Change the link's rate, delay and loss, to one of `tests.hosts.link.PROFILES`."""
        assert self._process.stdin
        self._process.stdin.write(f"{profile}\n")
        self._process.stdin.flush()
        assert self._answer() == profile
        self.profile = profile

    def stop(self) -> None:
        """Let the link be dead: nothing arrives, and nobody is told."""
        os.kill(self.pid, SIGSTOP)

    def resume(self) -> None:
        """Carry packets again."""
        os.kill(self.pid, SIGCONT)

    def close(self) -> None:
        """End it."""
        end(self._process)


class Slot:
    """A pair of addresses that no other host on this machine has, as long as it is held."""

    def __init__(self) -> None:
        directory = root() / "slots"
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(LINKS):
            self.handle = os.open(directory / str(number), os.O_CREAT | os.O_RDWR)
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self.handle)
                continue
            self.number = number
            self.local, self.remote = f"{NETWORK}.{number}.1", f"{NETWORK}.{number}.2"
            return
        raise BuildError(f"{LINKS} emulated hosts run already; end some")

    def release(self) -> None:
        """Let others have it."""
        os.close(self.handle)


class Host:
    """An emulated machine, started by `start` and ended by `stop`; what it wrote is kept between.

    Attributes:
        address: where it can be reached.
        link: the way there, while it runs.
        cpu: QEMU's name of its processor: its default computes int8 networks wrongly.
    """

    name: ClassVar[str]
    hostname: ClassVar[str]
    cpu: ClassVar[str]
    port: ClassVar[int]
    chip: ClassVar[Chip]
    board: ClassVar[str] = ""
    link: Link

    def __init__(self, directory: Path, *, profile: str = "lan", outlive: bool = False) -> None:
        """Prepare a host; nothing is started.

        Args:
            directory: where it keeps what it writes.
            profile: of its link, see `tests.hosts.link.PROFILES`.
            outlive: go on when the process that started it has ended.
        """
        self.directory, self._profile = directory, profile
        # The kernel ends them with the thread that started them.
        self._guard = [] if outlive else ["setpriv", "--pdeathsig", "KILL"]
        self._slot = Slot()
        self.address = self._slot.remote
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cpuinfo").write_text(cpuinfo(self.chip, self.board))
        write_sysfs(directory / "sys", self.chip, self.board)

    def mounts(self) -> Iterator[str]:
        """Yield shell commands that put its root directory together below `MOUNT`."""
        raise NotImplementedError

    def program(self) -> str:
        """Return the shell command that is its first program and ends with it."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it can be reached, a fraction of a second.

        Raises:
            BuildError: it did not start.
        """
        script = "\n".join([*self._system(), "echo up", self.program()])
        command = [
            *self._guard, "unshare", "--mount", "--uts", "--ipc", "--pid", "--net", "--fork",
            "--kill-child", "--propagation", "private", "sh", "-euc", script,
        ]  # fmt: skip
        with (self.directory / "log").open("a") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env=self.environment(),
            )  # fmt: skip
        assert self._process.stdout
        if self._process.stdout.readline() != "up\n":
            self.stop()
            raise BuildError(f"the {self.name} did not start:\n{self.log()}")
        self._process.stdout.close()
        self.link = Link(self._process.pid, self._slot, self._profile, self._guard)
        self._await()

    def _system(self) -> Iterator[str]:
        own = shlex.quote(str(self.directory))
        yield from self.mounts()
        yield f"mount -t proc proc {MOUNT}/proc"
        yield f"mount --bind {own}/cpuinfo {MOUNT}/proc/cpuinfo"
        yield f"mount --bind {own}/sys {MOUNT}/sys"
        yield f"mount --rbind /dev {MOUNT}/dev"
        yield f"hostname {self.hostname}"

    def environment(self) -> dict[str, str]:
        """Return the environment of its programs."""
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "QEMU_CPU": self.cpu}

    def _await(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                self.answer_s(timeout=1)
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        raise BuildError(f"the {self.name} does not answer:\n{self.log()}")

    def answer_s(self, timeout: float = START_S) -> float:
        """Return the seconds that it takes to be connected to it.

        Raises:
            TimeoutError: longer than `timeout`.
            OSError: nobody answers.
        """
        begin = time.monotonic()
        socket.create_connection((self.address, self.port), timeout=timeout).close()
        return time.monotonic() - begin

    def log(self) -> str:
        """Return what its programs said on standard error."""
        return (self.directory / "log").read_text(errors="replace")

    def stop(self) -> None:
        """End all its processes at once, as a power cut does."""
        end(self._process)
        if hasattr(self, "link"):
            self.link.close()

    def reboot(self) -> None:
        """End its programs, which ends their connections, and start it again."""
        self.kill("")
        time.sleep(FAREWELL_S)
        self.cut_power()

    def cut_power(self) -> None:
        """End it with not a word to anybody, and start it again with what its disk holds."""
        self._profile = self.link.profile
        self.stop()
        self.start()

    def remove(self) -> None:
        """End it for good, with all that it wrote."""
        self.stop()
        self._slot.release()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pids(self) -> tuple[int, int]:
        """The processes on this machine that end it when they are killed."""
        return self._process.pid, self.link.pid

    def processes(self) -> dict[int, str]:
        """Return the command lines of its processes by their ids on this machine."""
        own = Path(f"/proc/{self._init()}/ns/pid").readlink()
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if (path / "ns/pid").readlink() == own and words[0]:
                    found[int(path.name)] = " ".join(_own(words)).strip()
            except OSError:
                continue  # it has ended meanwhile
        return found

    def _init(self) -> str:
        pid = self._process.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]

    def kill(self, pattern: str) -> int:
        """Kill its processes whose command lines fit; return how many there were."""
        init, lines = self._init(), self.processes().items()
        wanted = [pid for pid, line in lines if re.search(pattern, line) and str(pid) != init]
        for pid in wanted:
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        return len(wanted)

    @contextmanager
    def small_disk(self, path: str, size: int) -> Iterator[None]:
        """Have a disk of `size` bytes, empty and everybody's, at a path on the host meanwhile."""
        enter = ["nsenter", f"--mount=/proc/{self._process.pid}/ns/mnt"]
        target = MOUNT + path
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "tmpfs", target]
        subprocess.run([*enter, *mount], check=True)
        try:
            yield
        finally:
            subprocess.run([*enter, "umount", "--lazy", target], check=True)

    @contextmanager
    def little_memory(self, size: int) -> Iterator[None]:
        """Have no more than `size` bytes for all of its programs together meanwhile; whichever has
        most is killed by the kernel where they need more. Takes control groups of version 1.
        """
        group = MEMORY / f"edgehost{self._slot.number}"
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(size))
        for pid in [int(self._init()), *self.processes()]:
            (group / "cgroup.procs").write_text(str(pid))
        try:
            yield
        finally:
            for word in (group / "cgroup.procs").read_text().split():
                (MEMORY / "cgroup.procs").write_text(word)
            group.rmdir()


def _own(words: list[str]) -> list[str]:
    """Return a program's own command line, without the emulator's and the program's path."""
    return words[2:] if words[0].endswith(EMULATOR) else words


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process and close what it was connected to."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
