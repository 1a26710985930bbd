"""The detector's network and its training program: shapes, losses, a run from data to an ONNX file that says the same."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
from tests_data import write_photo_set

keras = pytest.importorskip("keras")

from handpose.data import photos
from handpose.errors import HandposeError
from handpose.runtime import load_network
from tracker import detector_progress, train_detector
from tracker.detector_data import SceneConfig
from tracker.detector_loss import detector_losses
from tracker.detector_network import OUTPUTS, build_detector
from tracker.detector_targets import SceneHand, scene_targets


def test_outputs_have_their_shapes():
    model = build_detector(96)
    outputs = model(np.zeros((2, 96, 96, 3), np.uint8), training=False)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        n: (2, 12, 12, c) for n, c in OUTPUTS.items()
    }
    assert float(np.max(keras.ops.convert_to_numpy(keras.ops.sigmoid(outputs["centre"])))) < 0.3, (
        "it starts by seeing no hand"
    )
    with pytest.raises(ValueError, match="100"):
        build_detector(100)


def perfect():
    hand = SceneHand(np.array([41.0, 50.0]), 40.0, 0.4, True)
    targets = {name: value[None] for name, value in scene_targets([hand], 96).items()}
    targets["known"] = np.ones_like(targets["centre"])
    peak = targets["centre"] > 0.999
    outputs = {"centre": np.where(peak, 12.0, -12.0), "left": np.where(targets["left"] > 0, 12.0, -12.0)}
    outputs |= {name: targets[name] for name in ("box", "offset", "roll")}
    return {name: np.asarray(value, np.float32) for name, value in outputs.items()}, targets


def losses(outputs, targets):
    return {name: float(value) for name, value in detector_losses(outputs, targets).items()}


def test_the_right_answer_costs_nothing():
    found = losses(*perfect())
    assert all(value < 1e-3 for value in found.values()), found


@pytest.mark.parametrize("name", ["box", "offset", "roll", "left", "centre"])
def test_each_wrong_answer_costs(name):
    outputs, targets = perfect()
    outputs[name] = -outputs[name] + np.float32(0.3)
    assert losses(outputs, targets)[name] > 0.1


def test_what_may_be_an_unlabelled_hand_costs_nothing():
    outputs, targets = perfect()
    outputs["centre"][0, 1, 9] = 12.0  # a hand is claimed where none is labelled
    assert losses(outputs, targets)["centre"] > 1
    targets["known"][0, 1, 9] = 0
    assert losses(outputs, targets)["centre"] < 1e-3


def test_a_run_ends_in_an_onnx_file_that_says_the_same(tmp_path, capsys):
    folder = write_photo_set(tmp_path / "hands_dguzk")
    names = [
        path.rename(path.with_name(f"5-{path.name}")).name
        for path in (folder / "images").iterdir()
        if path.stem in "01"
    ]
    labels = json.loads((folder / "pseudo_labels.json").read_text())
    labels |= {name: labels.pop(name.removeprefix("5-")) for name in names}  # these two are people held out
    (folder / "pseudo_labels.json").write_text(json.dumps(labels))
    parser = argparse.ArgumentParser()
    train_detector.add_arguments(parser)
    options = f"--i {folder} --input 96 --batch 4 --steps 6 --evaluate-every 3 --save-every 3 --o {tmp_path / 'run'}"
    train_detector.run(parser.parse_args(options.split()))
    assert "held-out people: recall" in capsys.readouterr().out
    run = tmp_path / "run"
    assert {"config.json", "losses.csv", "best.weights.h5", "detector.onnx", "detector.json"} <= {
        p.name for p in run.iterdir()
    }
    model = build_detector(96)
    model.load_weights(run / "detector.weights.h5")
    images = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
    wanted = model(images.astype(np.float32), training=False)
    found = load_network(run / "detector.onnx")(images)
    for name in OUTPUTS:
        value = keras.ops.convert_to_numpy(wanted[name])
        value = 1 / (1 + np.exp(-value)) if name in ("centre", "left") else value
        np.testing.assert_allclose(found[name], value, atol=1e-3)


def test_wrong_use_is_told_in_one_line(tmp_path):
    parser = argparse.ArgumentParser()
    train_detector.add_arguments(parser)
    for options, message in (
        (["--i", "x", "--mix", "1,2"], "--mix"),
        ([], "nothing to train on"),
        (["--resume", "--o", str(tmp_path)], "no run"),
        (["--i", "x", "--input", "100", "--o", str(tmp_path / "run")], "multiple of 32, not 100"),
        (["--i", "x", "--batch", "0", "--o", str(tmp_path / "run")], "--batch must be 1 or more"),
        (["--i", "x", "--init", "missing.weights.h5", "--o", str(tmp_path / "run")], "missing.weights.h5: no weights"),
    ):
        with pytest.raises(HandposeError, match=message):
            train_detector.run(parser.parse_args(options))
    assert not (tmp_path / "run").exists(), "a run that never began must not stand in the way of the next one"


def test_hands_are_measured_by_boxes_that_are_known(tmp_path, monkeypatch):
    """Those with a joint that is not labelled are left out, and pictures that show no others."""
    folder = write_photo_set(tmp_path / "set", 3)
    whole = photos.read(folder)
    half = [replace(hand, valid=np.arange(21) > 0) for hand in whole.photos[1].hands]
    whole.photos[1] = replace(whole.photos[1], hands=tuple(half))
    whole.photos[2] = replace(whole.photos[2], hands=(*whole.photos[2].hands, *half))
    monkeypatch.setattr(detector_progress.photos, "read", lambda path, split: whole)
    monkeypatch.setattr(detector_progress.HeldOutScenes, "_add_scenes", lambda self, config: None)
    held_out = detector_progress.HeldOutScenes(SceneConfig((str(folder),), (1.0,)))
    assert [len(hands) for hands in held_out.hands] == [1, 1] and len(held_out.images) == 2


def test_on_jax_a_run_ends_well_and_tells_how_to_export(monkeypatch, capsys):
    config = train_detector.DetectorConfig(sources=("x",), mix=(1.0,))
    monkeypatch.setattr(train_detector, "open_run", lambda args, kind, make: (config, None))
    monkeypatch.setattr(train_detector, "train", lambda config, folder, resume: True)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    train_detector.run(argparse.Namespace(devices="1", resume=False, o="runs/mine"))
    assert "KERAS_BACKEND=tensorflow tracker train-detector --resume --o runs/mine" in capsys.readouterr().out
