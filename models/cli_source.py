"""What ``models show`` can be asked for, analysed: a network of the zoo or one of the user's."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.source import Source
    from models.family import Spec
    from models.layer import Analysis


@dataclass(frozen=True)
class Subject:
    """A network and its figures. `spec` is None for a user's own."""

    name: str
    analysis: "Analysis"
    spec: "Spec | None" = None


def is_artifact(name: str) -> bool:
    """Tell whether a name is an artifact whose operators are to be listed.

    The torch reference is none: it holds the program itself, which is analysed as a network.
    """
    if _is_file(name) or _reference(name).is_file():
        return False
    return bool(name) and (is_model_file(name) or Path(name).is_dir() or "/" in name)


def is_model_file(name: str) -> bool:
    """Tell whether a name is an exported file without its artifact's directory."""
    from export.bare import is_bare

    return is_bare(name)


def _reference(name: str) -> Path:
    from export.artifact import MODEL_FILES

    return Path(name) / MODEL_FILES["torch"]


def is_python(name: str) -> bool:
    """Tell whether a name is FILE.py:FACTORY."""
    return name.partition(":")[0].endswith(".py")


def _is_file(name: str) -> bool:
    return is_python(name) or name.endswith(".pt2")


def subject(name: str, shapes: list[str]) -> Subject:
    """Find and analyse what `name` says: the zoo's name, FILE.py:FACTORY, FILE.pt2.

    Raises:
        ExportError, ModelError: it cannot be found or analysed; the message says why.
    """
    if _reference(name).is_file():
        return _of_reference(Path(name))
    if not _is_file(name):
        return _of_zoo(name)
    from export import source

    given = shapes if is_python(name) else []
    (found,) = source.find([name], weights=None, shapes=given, seed=0, name=None)
    if found.kind == "pt2":
        assert found.path is not None
        return Subject(found.name, analyse_file(found.path))
    return Subject(found.name, _captured(found))


def _of_zoo(name: str) -> Subject:
    from models.registry import resolve

    spec = resolve(name)
    from models.analysis import analyse_network

    return Subject(spec.name, analyse_network(spec), spec)


def _of_reference(directory: Path) -> Subject:
    from export.artifact import load

    return Subject(load(directory).key, analyse_file(_reference(str(directory))))


def analyse_file(path: Path) -> "Analysis":
    """Analyse a program saved by torch.export.save."""
    import logging

    from export.program import load
    from models.analysis import analyse

    # What torch logs of a damaged file, with a traceback, is in the error that follows too.
    logging.getLogger("torch.export").setLevel(logging.CRITICAL)
    return analyse(load(path))


def _captured(source: "Source") -> "Analysis":
    from devices import scratch
    from export.capturing import capture_file
    from export.child import Children

    children = Children()
    with scratch.directory() as work:
        target, log = work / "captured.pt2", work / "capture.log"
        try:
            capture_file(children, source, target, log)
        except BaseException:
            children.stop()
            raise
        return analyse_file(target)
