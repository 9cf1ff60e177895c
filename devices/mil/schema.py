"""Opens a saved ``.mlpackage`` by coremltools' protobuf schema alone.

Importing coremltools itself takes seconds, loads torch and prints; its schema needs neither.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf.message import DecodeError

from devices.mil.errors import MilError

SCHEMA = "_coremltools_proto"
MANIFEST = "Manifest.json"


def read(package: Path) -> tuple[Any, Path]:
    """Return a package's specification, and the directory that its weight files are named from.

    Raises:
        ImportError: coremltools is not installed.
        MilError: it is no package, is damaged, or does not hold an ML program.
    """
    path = _root(package)
    spec = _schema().Model()
    try:
        spec.ParseFromString(path.read_bytes())
    except OSError as error:
        raise MilError(f"cannot read {path}: {error.strerror}") from None
    except DecodeError as error:
        raise MilError(f"{path} is damaged: {error}") from None
    if not spec.HasField("mlProgram"):
        raise MilError("it is not an ML program")
    return spec, path.parent


def _root(package: Path) -> Path:
    """Return the path of the specification that the package's manifest names."""
    path = package / MANIFEST
    root: Path
    try:
        manifest = json.loads(path.read_bytes())
        entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
        root = (package / "Data" / str(entry["path"])).resolve()
    except OSError as error:
        raise MilError(f"cannot read {path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise MilError(f"{path} does not name the package's model") from None
    if not root.is_relative_to(package.resolve()):
        raise MilError(f"{path} names a model outside the package")
    return root


def main_function(spec: Any) -> tuple[Any, Any]:
    """Return a program's main function and its block of operations.

    Raises:
        MilError: it has none.
    """
    program = spec.mlProgram
    name = spec.description.defaultFunctionName or "main"
    if name not in program.functions:
        raise MilError(f"the program has no function '{name}'")
    function = program.functions[name]
    if function.opset not in function.block_specializations:
        raise MilError(f"function '{name}' has no block for its opset '{function.opset}'")
    return function, function.block_specializations[function.opset]


def _schema() -> Any:
    found = importlib.util.find_spec("coremltools")
    if found is None or not found.submodule_search_locations:
        raise ImportError("No module named 'coremltools'", name="coremltools")
    if SCHEMA not in sys.modules:
        package = ModuleType(SCHEMA)
        package.__path__ = [str(Path(p) / "proto") for p in found.submodule_search_locations]
        sys.modules[SCHEMA] = package
    return importlib.import_module(f"{SCHEMA}.Model_pb2")
