"""`geocongan train` goes on after `kill -9` as if nothing had happened: every network, optimiser, pool, schedule and chance."""

import hashlib
import json
import os
import sys

import numpy as np
import pytest
from geocongan_data import write_prepared
from killed_runs import rows, run_and_kill

keras = pytest.importorskip("keras")

from geocongan import progress
from geocongan.cli import main
from geocongan.networks import build_silnet
from geocongan.translator import open_translator, trained_with

FIXED = 24  # pictures of the fixed set
COMMAND = f"import geocongan.progress as p; p._FIXED = {FIXED}; from geocongan.cli import main; main(__import__('sys').argv[1:])"
ENVIRONMENT = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.getcwd()}
STEPS, SAVED_EVERY = 26, 3


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run that was never stopped, `whole`, and one killed at a step that went on, `killed`; and that step."""
    root, patch = tmp_path_factory.mktemp("runs"), pytest.MonkeyPatch()
    patch.setattr(progress, "_FIXED", FIXED)
    write_prepared(root / "real")
    silnet = root / "silnet"
    silnet.mkdir()
    keras.utils.set_random_seed(0)
    build_silnet(64, 4).save_weights(silnet / "best.weights.h5")
    (silnet / "config.json").write_text(json.dumps({"size": 64, "filters": 4}))
    options = f"train --real {root / 'real'} --silnet {silnet} --size 64 --filters 4 --blocks 1".split()
    options += ["--steps", str(STEPS), "--save-every", str(SAVED_EVERY), "--evaluate-every", "13"]
    command = [sys.executable, "-c", COMMAND, *options, "--tensorboard", "--o", str(root / "whole")]
    step = run_and_kill(command, ENVIRONMENT, root / "whole", root / "killed", step=4)
    assert main(["train", "--resume", "--o", str(root / "killed")]) == 0
    yield root, step
    patch.undo()


def test_the_next_losses_are_those_of_a_run_that_was_never_stopped(runs):
    root, step = runs
    assert step < STEPS - 20 + SAVED_EVERY, "it came too far to leave twenty steps"
    whole, resumed = (rows(root / run / "losses.csv") for run in ("whole", "killed"))
    assert sorted(resumed) == list(range(1, STEPS + 1))
    for number in range(STEPS - 19, STEPS + 1):
        assert resumed[number] == pytest.approx(whole[number], abs=1e-4), number


def test_a_run_tells_which_silnet_it_was_trained_with(runs):
    root, _ = runs
    sha256 = hashlib.sha256((root / "silnet" / "best.weights.h5").read_bytes()).hexdigest()
    assert trained_with(root / "whole") == trained_with(root / "killed") == sha256


def test_a_run_goes_on_with_its_own_silnet_alone(runs, capsys):
    root, _ = runs
    weights = root / "silnet" / "best.weights.h5"
    kept = weights.read_bytes()
    keras.utils.set_random_seed(1)
    build_silnet(64, 4).save_weights(weights)
    assert main(["train", "--resume", "--steps", str(STEPS + 1), "--o", str(root / "whole")]) == 1
    assert f"{root / 'silnet'}: not the SilNet that this run began with" in capsys.readouterr().err
    weights.write_bytes(kept)


def test_each_file_of_a_run_is_a_translator(runs):
    root, _ = runs
    pictures = np.full((1, 64, 64, 3), 200, np.uint8)
    last, best, run = (
        open_translator(root / "whole" / name).painted(pictures)
        for name in ("synth2real_last.weights.h5", "synth2real_best.weights.h5", "")
    )
    np.testing.assert_array_equal(best, run)
    assert last.shape == pictures.shape


def test_a_fixed_set_is_measured_every_now_and_then(runs):
    root, _ = runs
    measures = rows(root / "whole" / "measures.csv")
    assert sorted(measures) == [13, 26]
    assert set(measures[13]) == {"kid", "kid_renders", "mask_iou", "drift_px"}
    assert all(np.isfinite(list(row.values())).all() and 0 <= row["mask_iou"] <= 1 for row in measures.values())
    assert rows(root / "killed" / "measures.csv")[26] == pytest.approx(measures[26], abs=1e-2)
    names = {path.name for path in (root / "whole").iterdir()}
    assert {
        "grid_000013.jpg",
        "synth2real_best.weights.h5",
        "synth2real_last.weights.h5",
        "real2synth_best.weights.h5",
    } <= names


def test_tensorboard_shows_losses_measures_and_grids(runs):
    root, _ = runs
    (events,) = (root / "whole" / "tensorboard").glob("events*")
    content = events.read_bytes()
    for name in (b"losses/cycle_synth", b"losses/judges", b"measures/kid", b"measures/mask_iou", b"grid"):
        assert name in content, name
