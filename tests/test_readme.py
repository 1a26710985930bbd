"""Every command of the README is run or parsed, and its Python lines are run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = ("tracker", "regnet", "handpose", "geocongan")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def shell_lines() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def parsed(words: list[str], monkeypatch) -> bool:
    """Whether a command's own parser takes its options, and misses none; it stops before any work."""
    import importlib

    from tracker import train_detector

    module, worked = importlib.import_module(f"{words[0]}.cli"), []

    def done(name, work):
        if "train-detector" in words:  # reads its options as it begins
            work()
        return worked.append(name) or 0

    monkeypatch.setattr("handpose.command.exit_code", done)
    monkeypatch.setattr(module, "exit_code", done, raising=False)
    monkeypatch.setattr(train_detector, "run", lambda args: None)
    return module.main(words[1:]) == 0 and bool(worked)


def test_commands_are_known():
    """Each line of the README is one of these kinds, so that none goes unchecked."""
    kinds = [words[0] for words in shell_lines()]
    assert set(kinds) <= {"make", "python", ".venv/bin/python", *COMMANDS}
    assert len(kinds) > 15


def test_make_targets_exist():
    wanted = {words[1] for words in shell_lines() if words[0] == "make"}
    assert {"demo", "test"} <= wanted
    for target in wanted:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_files_that_the_install_lines_name_exist():
    for words in shell_lines():
        if words[0].endswith("python"):
            for word in words[1:]:
                if re.fullmatch(r"[\w./-]+\.(py|lock)", word):
                    assert (ROOT / word).exists(), word


@pytest.mark.parametrize("line", [" ".join(w) for w in shell_lines() if w[0] in COMMANDS or w[1:2] == ["tracker.py"]])
def test_commands_parse(line, monkeypatch):
    words = shlex.split(line)
    words = ["tracker", *words[2:]] if words[0] == "python" else words
    assert parsed(words, monkeypatch)


@pytest.mark.parametrize(
    "line",
    [
        "tracker calibrate --webcam",
        "tracker --video a.mp4 --overlaid b.mp4",
        "regnet test",
        "tracker train-detector --steps many",
    ],
)
def test_commands_that_lack_or_mistake_an_option_do_not_parse(line, monkeypatch):
    with pytest.raises(SystemExit):
        parsed(shlex.split(line), monkeypatch)


def test_the_python_lines_run(tmp_path, monkeypatch, shared_data):
    monkeypatch.chdir(tmp_path)
    import cv2

    capture = cv2.VideoCapture(str(shared_data / "video" / "counting.mp4"))
    writer = cv2.VideoWriter("clip.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 30, (272, 480))
    for _ in range(12):
        writer.write(cv2.resize(capture.read()[1], (272, 480)))
    writer.release()
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert "hand 1 tracked" in done.stdout


def test_pictures_and_links_of_the_readme_exist():
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    assert "TODO" not in README
