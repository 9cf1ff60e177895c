"""Python and runtimes for 64-bit ARM in one directory, made on this machine for another.

It needs nothing there but Linux: it brings its own loader and C library, and is run in place.

    lib/      the loader, the shared libraries, Python's standard library
    bin/      python3
    site/     numpy and the runtimes
    bundle.json   name, version and sha256 of all that it was made from

Debian's packages come through apt, with a state of its own and checked by Debian's signatures; the
wheels through pip, checked by the hashes of `devices/locks`. The directory is named by the hash of
`bundle.json`, and is made whole or not at all.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import platformdirs

from devices import scratch
from devices.device import DeviceError
from devices.wheels import Target, downloaded

Tell = Callable[[str], None]

SCHEMA = 1
MANIFEST = "bundle.json"
PYTHON = "python3.11"
SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = (
    "libbz2-1.0", "libc6", "libexpat1", "libffi8", "libgcc-s1", "liblzma5", "libstdc++6", "zlib1g",
    f"{PYTHON}-minimal", f"lib{PYTHON}-minimal", f"lib{PYTHON}-stdlib",
)  # fmt: skip
LOADER = "ld-linux-aarch64.so.1"
LIBRARIES = (
    LOADER, "libbz2.so.1.0", "libc.so.6", "libdl.so.2", "libexpat.so.1", "libffi.so.8",
    "libgcc_s.so.1", "liblzma.so.5", "libm.so.6", "libpthread.so.0", "librt.so.1",
    "libstdc++.so.6", "libutil.so.1", "libz.so.1",
)  # fmt: skip
TARGET = Target("cp311", "aarch64")
# What it runs, by format.
RUNTIMES = {"tflite": ["litert"], "onnx": ["onnxruntime"]}
# What no worker imports, below the standard library and below `site`.
UNUSED = (
    "lib/python3.11/config-*", "lib/python3.11/ensurepip", "lib/python3.11/idlelib",
    "lib/python3.11/lib2to3", "lib/python3.11/pydoc_data", "lib/python3.11/sitecustomize.py",
    "lib/python3.11/test", "lib/python3.11/tkinter", "lib/python3.11/turtledemo",
    "lib/python3.11/unittest", "lib/python3.11/venv", "lib/**/__pycache__",
    "site/bin", "site/**/tests", "site/**/*.pyi", "site/**/include", "site/**/__pycache__",
    "site/numpy/f2py", "site/numpy/_core/lib", "site/onnxruntime/quantization",
    "site/onnxruntime/tools", "site/onnxruntime/transformers", "site/onnxruntime/datasets",
)  # fmt: skip


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A package or wheel that a bundle was made from; `sha256` is that of its file."""

    name: str
    version: str
    sha256: str


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is in a bundle; `recipe` is the hash of what was asked for, see `recipe`."""

    schema: int
    recipe: str
    python: str
    parts: tuple[Part, ...]


class Bundle(NamedTuple):
    """A bundle on this machine's disk. `digest` names what it was made from."""

    path: Path
    digest: str
    contents: Contents


def command(root: str) -> list[str]:
    """Return the words that start the Python of a bundle that lies at `root`."""
    lib = f"{root}/lib"
    return [f"{lib}/{LOADER}", "--library-path", lib, f"{root}/bin/python3", "-S"]


def environment(root: str) -> dict[str, str]:
    """Return what the Python of a bundle at `root` must find in its environment."""
    return {"PYTHONHOME": root, "PYTHONPATH": f"{root}/site"}


def recipe() -> str:
    """Return the hash of what a bundle of this version is made of and what is left out."""
    locked = [lock.read_text(encoding="utf-8") for lock in _locks()]
    asked = [*locked, SUITE, *PACKAGES, *LIBRARIES, *UNUSED]
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()


def cache() -> Path:
    """Return where bundles are kept."""
    return Path(platformdirs.user_cache_dir("edgeworthy")) / "bundles"


def cached() -> Bundle | None:
    """Return the newest bundle of this version's recipe that was made or brought here, if any."""
    wanted = recipe()
    found = [read(path.parent) for path in cache().glob(f"[!.]*/{MANIFEST}")]
    fitting = [bundle for bundle in found if bundle and bundle.contents.recipe == wanted]
    return max(fitting, key=lambda bundle: bundle.path.stat().st_mtime, default=None)


def read(path: Path) -> Bundle | None:
    """Return the bundle at `path`, None if what lies there is none of this version."""
    try:
        raw = (path / MANIFEST).read_bytes()
        contents = msgspec.json.decode(raw, type=Contents)
    except (OSError, msgspec.MsgspecError):
        return None
    return Bundle(path, hashlib.sha256(raw).hexdigest(), contents)


def make(tell: Tell) -> Bundle:
    """Make a bundle, or return the one that is there.

    Args:
        tell: is told every step, in a few words.

    Raises:
        DeviceError: a tool or a part is missing, or a part is not what it should be.
    """
    if found := cached():
        return found
    _check_tools()
    with _scratch() as work:
        tree = work / "bundle"
        packages = _packages(work, tree, tell)
        wheels = _wheels(tree, tell)
        _trim(tree)
        contents = Contents(
            schema=SCHEMA, recipe=recipe(), python=PYTHON, parts=(*packages, *wheels)
        )
        (tree / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(contents)) + b"\n")
        return _keep(tree)


def save(bundle: Bundle, file: Path) -> None:
    """Write a bundle as one file, to be brought to a machine that cannot make it.

    Raises:
        DeviceError: the file cannot be written.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with tarfile.open(part, "w:gz", compresslevel=5) as archive:
            archive.add(bundle.path, ".")
        part.replace(file)
    except OSError as error:
        raise DeviceError(f"cannot write {file}: {error.strerror}; choose another file") from None
    finally:
        part.unlink(missing_ok=True)


def load(file: Path) -> Bundle:
    """Keep the bundle that `save` wrote.

    Raises:
        DeviceError: the file cannot be read, or holds no bundle of this version.
    """
    with _scratch() as work:
        tree = work / "bundle"
        try:
            with tarfile.open(file) as archive:
                archive.extractall(tree, filter="data")
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise DeviceError(f"cannot read {file}: {error}; make it again") from None
        found = read(tree)
        if found is None or found.contents.recipe != recipe():
            raise DeviceError(
                f"{file} holds no bundle of this version of edgeworthy: make it by the same version"
            )
        return _keep(tree)


def _check_tools() -> None:
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing or not KEYRING.is_file():
        raise DeviceError(
            f"a bundle is made with Debian's apt, and {(*missing, str(KEYRING))[0]} is not here: "
            "make it on Debian 12 by 'edgeworthy devices bundle --out FILE', and bring it here by "
            "'edgeworthy devices bundle --from FILE'"
        )


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a directory beside the bundles, which is gone afterwards."""
    try:
        cache().mkdir(parents=True, exist_ok=True)
        with scratch.directory(cache()) as work:
            yield work
    except OSError as error:
        raise DeviceError(f"cannot make a bundle in {cache()}: {error.strerror or error}") from None


def _keep(tree: Path) -> Bundle:
    """Move a bundle to its place, if none is there."""
    made = read(tree)
    if made is None:
        raise DeviceError(f"{tree} is no bundle of this version; make it again")
    place = cache() / made.digest[:16]
    try:
        tree.chmod(0o755)
        tree.rename(place)
    except OSError:
        if read(place) is None:
            raise
    return made._replace(path=place)


def _packages(work: Path, tree: Path, tell: Tell) -> list[Part]:
    """Fetch and unpack Debian's packages; return what they are."""
    tell("fetching Debian's packages for arm64")
    debs = _fetched(work)
    tell("unpacking them")
    root = work / "root"
    for deb in debs:
        _run(["dpkg-deb", "--extract", str(deb), str(root)], "unpack a package")
    for library in LIBRARIES:
        _copy(_library(root, library), tree / "lib" / library)
    _copy(root / "usr/bin" / PYTHON, tree / "bin/python3")
    source, target = root / "usr/lib" / PYTHON, tree / "lib" / PYTHON
    shutil.copytree(source, target, symlinks=False, ignore_dangling_symlinks=True)
    return sorted((_described(deb) for deb in debs), key=lambda part: part.name)


def _fetched(work: Path) -> list[Path]:
    """Download Debian's packages with an apt of its own, from this machine's mirrors."""
    apt = _apt(work)
    faults = []
    for mirror in _mirrors():
        source = f"deb [arch=arm64 signed-by={KEYRING}] {mirror} {SUITE} main\n"
        (work / "sources.list").write_text(source, encoding="utf-8")
        try:
            _run([*apt, "update", "-q", "--error-on=any"], "read the list of packages")
            _run([*apt, "download", "-q", *PACKAGES], "download packages", cwd=work)
            return sorted(work.glob("*.deb"))
        except DeviceError as error:
            faults.append(str(error))
    reason = faults[0] if faults else "apt knows no mirror of Debian 12 here"
    raise DeviceError(f"{reason}; a bundle can be brought: 'edgeworthy devices bundle --from FILE'")


def _apt(work: Path) -> list[str]:
    for part in ("state/lists/partial", "cache/archives/partial", "preferences.d"):
        (work / part).mkdir(parents=True)
    (work / "status").touch()
    settings = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": work / "preferences.d",
        "Dir::State": work / "state",
        "Dir::State::Status": work / "status",
        "Dir::Cache": work / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    return ["apt-get", *(word for key, to in settings.items() for word in ("-o", f"{key}={to}"))]


def _mirrors() -> list[str]:
    """Return the mirrors of Debian 12 that this machine's apt uses, else all that it uses."""
    known = _run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"], "list the mirrors"
    )
    pairs = [tuple(line.split()) for line in known.splitlines() if len(line.split()) == 2]
    of_suite = [uri for uri, release in pairs if release == SUITE]
    return list(dict.fromkeys(of_suite or (uri for uri, _ in pairs)))


def _library(root: Path, name: str) -> Path:
    for folder in ("lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib"):
        if (root / folder / name).exists():
            return root / folder / name
    raise DeviceError(f"Debian's packages for arm64 hold no {name}: {SUITE} has changed")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _described(deb: Path) -> Part:
    name, version, _ = deb.stem.split("_")
    return Part(name, version.replace("%3a", ":"), hashlib.sha256(deb.read_bytes()).hexdigest())


def _wheels(tree: Path, tell: Tell) -> list[Part]:
    """Unpack numpy and the runtimes; return what they are."""
    tell("fetching numpy and the runtimes for arm64")
    found: dict[str, Path] = {}
    for lock in _locks():
        found |= downloaded(lock, TARGET)
    for path in found.values():
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(tree / "site")  # noqa: S202 -- a zip: its names cannot lead out
    return sorted(
        (_wheel(path, digest) for digest, path in found.items()),
        key=lambda part: part.name,
    )


def _wheel(path: Path, digest: str) -> Part:
    name, version, *_ = path.name.split("-")
    return Part(name, version, digest)


def _locks() -> list[Path]:
    return [TARGET.lock(runtime) for names in RUNTIMES.values() for runtime in names]


def _run(command: Sequence[str], what: str, **settings: Any) -> str:
    """Run a program to its end; return what it wrote.

    Raises:
        DeviceError: it failed; says what it was to do, and its last words.
    """
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
        **settings,
    )
    if done.returncode:
        words = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
        faults = [line for line in words if line.startswith(("E:", "ERROR:"))]
        last = (faults or words or [f"exit code {done.returncode}"])[-1]
        raise DeviceError(f"cannot {what}: {last}")
    return str(done.stdout)


def _trim(tree: Path) -> None:
    """Leave out what no worker imports."""
    for pattern in UNUSED:
        for path in [*tree.glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
