"""`regnet train`: it resumes exactly after a kill, says what is wrong in one line, and its step learns."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from killed_runs import rows, run_and_kill
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


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    photos, script = write_photo_set(tmp_path / "photos"), tmp_path / "train.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script)]
    options = ["--i", str(photos), "render", "--mix", "0.75,0.25", "--batch", "4", "--steps", "26", "--save-every", "3"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    reached = run_and_kill([*command, *options, "--o", str(whole)], ENVIRONMENT, whole, killed, step=4)
    assert reached < 26, "the run ended before it could be killed"
    subprocess.run([*command, "--resume", "--o", str(killed)], env=ENVIRONMENT, check=True, timeout=300)
    wanted, resumed = (rows(folder / "losses.csv") for folder in (whole, killed))
    assert sorted(resumed) == list(range(1, 27))
    for step in range(7, 27):
        assert resumed[step]["loss"] == pytest.approx(wanted[step]["loss"], rel=1e-5), step
    assert not (whole / "tensorboard").exists(), "nobody asked"


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
