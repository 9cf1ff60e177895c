"""The rules that hold the packages apart, and what a command may import before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("models", "export", "devices", "bench")
ALLOWED = {
    "models": set(),
    "devices": set(),
    "export": {"models", "devices.mil"},
    "bench": {"devices", "export.artifact", "export.verify"},
}
HEAVY = (
    "altair", "torch", "onnx", "onnxruntime", "ai_edge_litert", "litert_torch", "coremltools",
    "tensorflow", "PIL", "rich.table", "numpy",
)  # fmt: skip
HELP = [
    [], ["export"], ["export", "diagnose"], ["export", "inspect"], ["bench"], ["bench", "run"],
    ["bench", "compare"], ["bench", "baseline"], ["bench", "check"], ["bench", "report"],
    ["bench", "calibrate"], ["bench", "profile"], ["bench", "tradeoff"],
    ["models"], ["models", "list"], ["models", "show"], ["models", "train"], ["models", "explain"],
    ["devices"], ["devices", "list"], ["devices", "check"], ["devices", "add"],
    ["devices", "remove"], ["devices", "bundle"], ["devices", "serve"],
]  # fmt: skip


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    found = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{a.name}" for a in node.names}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        if path.name.startswith("cli"):
            continue
        foreign = {n for n in imports(path) if n.split(".")[0] in {*PACKAGES} - {package}}
        wrong = [
            n for n in foreign if not any(f"{n}.".startswith(f"{a}.") for a in ALLOWED[package])
        ]
        assert not wrong, f"{path} imports {wrong}"


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_answers_without_a_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys, edgeworthy\n"
        f"sys.argv = ['edgeworthy', *{arguments!r}, '--help']\n"
        "try: edgeworthy.main()\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        f"loaded = [m for m in {HEAVY[:-2]!r} if m in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


@pytest.mark.parametrize("noun", ["export", "bench"])
def test_a_noun_runs_as_a_module(noun: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", noun, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


def test_a_package_that_hides_ours_is_named_with_the_remedy(tmp_path: Path) -> None:
    hiding = tmp_path / "bench"
    hiding.mkdir()
    (hiding / "__init__.py").write_text("")
    code = f"import sys; sys.path.append({str(ROOT)!r}); import edgeworthy; edgeworthy.bench()"
    result = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "hides edgeworthy's own" in result.stderr
    assert "Traceback" not in result.stderr
