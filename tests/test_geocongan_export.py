"""A translator as one file: it does what Keras does, in half precision too, and opens like a run; what cannot be exported is told."""

import json

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from geocongan import export
from geocongan.cli import main
from geocongan.networks import build_generator
from geocongan.translator import open_translator, trained_with


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(1)
    build_generator(64, 4, 1).save_weights(folder / "synth2real_best.weights.h5")
    (folder / "config.json").write_text(json.dumps({"size": 64, "filters": 4, "blocks": 1, "silnet_sha256": "ab12"}))
    return folder


@pytest.mark.parametrize("largest_mb", [25, 0])
def test_the_file_does_what_the_run_does(trained, tmp_path, capsys, monkeypatch, largest_mb):
    monkeypatch.setattr(export, "_LARGEST_MB", largest_mb)
    path = tmp_path / "synth2real.onnx"
    assert main(["export", "--weights", str(trained), "--o", str(path)]) == 0
    assert "largest difference from Keras" in capsys.readouterr().out
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["network"] == "synth2real" and card["halved"] == (largest_mb == 0) and path.name in card["sha256"]
    assert trained_with(path) == trained_with(trained) == "ab12", "evaluate refuses that SilNet as a judge"
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 4), dtype=np.uint8)
    pictures[0, :32, :, 3] = 0
    found, wanted = open_translator(path)(pictures), open_translator(trained)(pictures)
    np.testing.assert_array_equal(found[..., 3], pictures[..., 3])
    sure = pictures[..., 3] > 200  # where little is covered, its colour is told by few levels
    assert np.abs(found[sure].astype(int) - wanted[sure]).max() <= (2 if largest_mb else 6)
    assert found[sure][:, :3].std() > 1
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["synth2real.json", "synth2real.onnx"]


def test_a_file_that_differs_is_not_left(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, "_TOLERANCE", -1.0)
    assert main(["export", "--weights", str(trained), "--o", str(tmp_path / "x.onnx")]) == 1
    assert "differs from Keras" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_told(trained, tmp_path, capsys):
    for weights, path, told in (
        (trained, "x.h5", ".onnx"),
        (tmp_path, "x.onnx", "config.json"),
        (trained, "no/x.onnx", "folder"),
    ):
        assert main(["export", "--weights", str(weights), "--o", str(tmp_path / path)]) == 1
        assert told in capsys.readouterr().err
