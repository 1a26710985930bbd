"""The house keeps its order: imports run one way, heavy ones wait, files stay short."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {  # what each package may import of the others
    "handpose": set(),
    "geocongan": {"handpose"},
    "regnet": {"handpose"},
    "tracker": {"handpose", "regnet"},
}
HEAVY = {"tensorflow", "keras", "jax", "torch"}
# Modules that exist only to train or convert; they are imported inside the functions that do.
TRAINING = {
    "backend",
    "batch_norm",
    "blocks",
    "light",
    "paper",
    "layers",
    "heads",
    "lift",
    "losses",
    "aligned",
    "networks",
    "weights",
    "muon",
    "supervised",
    "freeze",
    "backbone",
    "gan",
    "progress",
    "detector_network",
    "detector_loss",
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Names of the packages that a file imports, anywhere or at its top level."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else list(ast.walk(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_one_way(package):
    for path in sources(package):
        foreign = imports(path) & set(ALLOWED) - {package} - ALLOWED[package]
        assert not foreign, f"{path} imports {foreign}"


@pytest.mark.parametrize("package", ALLOWED)
def test_no_heavy_import_at_the_top_of_what_tracks(package):
    for path in sources(package):
        if path.stem not in TRAINING and path.stem != "checkpoint":
            assert not imports(path, top_level=True) & HEAVY, path


def test_folders_that_are_no_packages_have_no_init():
    for folder in ("datasets", "tools", "tests", "docs"):
        assert not (ROOT / folder / "__init__.py").exists()
    assert (ROOT / "tracker" / "__init__.py").exists(), "or Python finds tracker.py in its place"


def test_files_hold_one_idea():
    files = [path for package in (*ALLOWED, "tools", "tests") for path in sources(package)]
    assert len(files) > 80
    too_long = {str(path): n for path in files if (n := len(path.read_text().splitlines())) > 400}
    assert not too_long


@pytest.mark.parametrize("command", ["tracker.cli", "regnet.cli", "handpose.cli", "geocongan.cli"])
def test_help_is_instant(command):
    """Nothing heavy may be imported to print help."""
    code = (
        "import sys, contextlib, io, importlib\n"
        f"main = importlib.import_module({command!r}).main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print([name for name in ('tensorflow', 'keras', 'openvino', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_wheels_hold_the_packages_and_nothing_else():
    from setuptools import find_packages

    found = {
        name.split(".")[0]
        for name in find_packages(str(ROOT), include=["handpose*", "geocongan*", "regnet*", "tracker*"])
    }
    assert found == set(ALLOWED)
