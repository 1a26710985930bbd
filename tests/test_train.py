"""`regnet train`: it resumes exactly after a kill, says what is wrong in one line, and its step learns."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests_data import write_photo_set

from handpose.errors import HandposeError

# Its data worker, which imports the script too, keeps fewer foregrounds, two a lane, than so short a run renders. One block for each
# stage compiles in a third of the time.
SCRIPT = """
import sys
from regnet import cli, light, progress, render_items
progress._RENDERED, render_items.CACHE, light.BLOCKS = 2, 16, (0, 0, 0, 0)
if __name__ == "__main__":
    sys.exit(cli.main(["train", *sys.argv[1:]]))
"""
ENVIRONMENT = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.getcwd()}


def losses(folder: Path) -> dict[int, float]:
    with (folder / "losses.csv").open() as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    photos, script = write_photo_set(tmp_path / "photos"), tmp_path / "train.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script)]
    options = ["--i", str(photos), "render", "--mix", "0.75,0.25", "--batch", "4", "--steps", "26", "--save-every", "3"]
    subprocess.run([*command, *options, "--o", str(tmp_path / "whole")], env=ENVIRONMENT, check=True, timeout=300)
    killed = subprocess.Popen([*command, *options, "--o", str(tmp_path / "killed")], env=ENVIRONMENT)
    deadline = time.monotonic() + 300  # beside other work on the machine
    while not ((tmp_path / "killed" / "checkpoint.npz").exists() and max(losses(tmp_path / "killed"), default=0) >= 4):
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    reached = max(losses(tmp_path / "killed"))
    assert reached < 26, "the run ended before it could be killed"
    subprocess.run([*command, "--resume", "--o", str(tmp_path / "killed")], env=ENVIRONMENT, check=True, timeout=300)
    whole, resumed = losses(tmp_path / "whole"), losses(tmp_path / "killed")
    assert sorted(resumed) == list(range(1, 27))
    for step in range(7, 27):
        assert resumed[step] == pytest.approx(whole[step], rel=1e-5), step


def test_wrong_use_is_told_in_one_line(tmp_path):
    cases = {
        "nothing to train on": [],
        "--mix must give": ["--i", str(tmp_path), "--mix", "0.5,0.5"],
        "no checkpoint|no run|config": ["--resume", "--o", str(tmp_path)],
        "--no-projection is the light network's": ["--i", "render", "--network", "paper", "--no-projection"],
        "--generator is for the source ganerate": ["--i", "render", "--generator", "x.onnx"],
        "pseudo_labels": ["--i", str(tmp_path), "--steps", "1", "--o", str(tmp_path / "run")],
    }
    import argparse

    from regnet import train

    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    for message, options in cases.items():
        with pytest.raises(HandposeError, match=message):
            train.run(parser.parse_args(options))


def test_the_help_names_all_sources_that_are_no_folders():
    import argparse

    from regnet import train
    from regnet.labelled import MADE

    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    (told,) = (action.help for action in parser._actions if action.dest == "i")
    assert all(word in told for word in MADE)


def test_a_step_that_goes_wrong_keeps_the_checkpoint(tmp_path, monkeypatch):
    from handpose.training import backend
    from handpose.training.run_dir import RunDir
    from regnet import train

    photos = write_photo_set(tmp_path / "photos")
    config = train.TrainConfig(sources=(str(photos),), mix=(1.0,), steps=9, batch_size=2, save_every=2)

    def failing_step(model, loss_function, optimizer):
        optimizer.build(model.trainable_variables)
        values = iter([3.0, 2.0, float("nan")])
        return lambda inputs, targets: {"loss": next(values), "error_cells": 1.0}

    monkeypatch.setattr(backend, "make_train_step", failing_step)
    folder = RunDir.plan(tmp_path / "run", {})
    with pytest.raises(HandposeError, match="nan at step 3"):
        train.train(config, folder, log=lambda line: None)
    with np.load(folder.path / "checkpoint.npz") as stored:
        assert json.loads(stored["state"].tobytes())["step"] == 2
