"""Commands without the packages they need say in one line what to install."""

import argparse
import ast
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from handpose.command import _EXTRAS, exit_code, require, what_to_install
from handpose.errors import HandposeError

ROOT = Path(__file__).parents[1]
WITHOUT_KERAS = """
import sys
sys.modules["keras"] = sys.modules["tensorflow"] = None
from {package}.cli import main
sys.exit(main({arguments}))
"""


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("regnet", ["summary"]),
        ("regnet", ["train", "--i", "render", "--o", "{folder}/run"]),
        ("regnet", ["export", "--i", "{folder}"]),
        ("geocongan", ["train-silnet", "--synthetic", "render", "--real", "{folder}", "--o", "{folder}/run"]),
    ],
)
def test_training_on_the_base_install_names_the_extra(package, arguments, tmp_path):
    (tmp_path / "best.weights.h5").touch()
    (tmp_path / "config.json").write_text('{"network": "light", "input_size": 128}')
    code = WITHOUT_KERAS.format(package=package, arguments=[one.format(folder=tmp_path) for one in arguments])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"{package}: ") and line.endswith('pip install "ganerated-hands[train]"')


def test_each_package_of_an_extra_is_known_by_its_import():
    """Requirements differ from what one imports by a hyphen at most."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    (train,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "TRAIN")
    names = {re.split(r"[<>=;\\[]", requirement)[0].replace("-", "_") for requirement in ast.literal_eval(train)}
    assert names == set(_EXTRAS["train"])


def test_what_no_extra_brings_is_told_too():
    assert what_to_install(ModuleNotFoundError("No module named 'ray'", name="ray.util")).endswith('[cluster]"')
    assert "(No module named 'numpy')" in what_to_install(ModuleNotFoundError("No module named 'numpy'", name="numpy"))
    assert "opencv-python-headless" in what_to_install(ImportError("libGL.so.1: cannot open shared object file"))


@pytest.mark.parametrize(
    ("value", "reason"),
    [("nan", "a finite number, not nan"), ("inf", "a finite number, not inf"), ("0.5", "1 or more, not 0.5")],
)
def test_numbers_that_are_too_small_or_none_are_refused(value, reason):
    with pytest.raises(HandposeError, match=f"--so-long must be {reason}"):
        require(argparse.Namespace(so_long=float(value)), so_long=1)
    require(argparse.Namespace(so_long=None, other=1.0), so_long=1, other=1)


def test_a_file_that_the_system_refuses_is_one_line(capsys):
    def work():
        raise PermissionError(13, "Permission denied", "/closed/film.mp4")

    assert exit_code("tracker", work) == 1
    assert capsys.readouterr().err == "tracker: /closed/film.mp4: Permission denied\n"


def test_a_name_that_the_terminal_cannot_show_is_escaped(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="cp1251", write_through=True))
    assert exit_code("tracker", lambda: print("caf\udce9 5 m\xb2")) == 0
    assert shown.getvalue().rstrip() == rb"caf\udce9 5 m\xb2"
