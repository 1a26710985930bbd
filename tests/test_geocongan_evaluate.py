"""`geocongan evaluate`: hands that the detector finds, features of others, and each figure with what it was measured by."""

import hashlib
import json
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from geocongan_data import write_prepared, write_translator

from geocongan import evaluate
from geocongan.cli import main
from geocongan.hand_finder import HandFinder
from geocongan.inception import inception_measure
from handpose.errors import HandposeError
from handpose.images import read_image
from handpose.synthesis.foreground import straight
from handpose.synthesis.sampler import RenderSampler
from handpose.synthesis.translated import crop_window, on_white


@pytest.fixture(scope="module")
def finder():
    return HandFinder()


def test_the_detector_cuts_hands_out_of_pictures_on_white(finder):
    sampler = RenderSampler(31, 128)
    hands = [sampler.rendered(number) for number in range(8)]
    windows = [crop_window(hand, 128) for hand in hands]
    pictures = [on_white(straight(w.warp(hand.rgba, 128))) for w, hand in zip(windows, hands, strict=True)]
    empty = np.full((128, 128, 3), 255, np.uint8)
    confidence, crops = finder(np.stack([*pictures, empty]), 96)
    assert confidence[:-1].mean() > 0.5 > 0.2 > confidence[-1]
    assert crops.shape[0] == (confidence >= 0.2).sum() and crops.shape[1:] == (96, 96, 3)
    skin = (crops < 240).any(-1).mean((1, 2))
    assert (skin > 0.15).mean() > 0.8, "a crop shows a hand, not a corner of the white"


def test_a_hand_is_found_where_it_lies(finder):
    """Shifted by a known way, the hand's crop stays what it was."""
    hand = RenderSampler(31, 128).rendered(0)
    small = on_white(straight(crop_window(hand, 128).warp(hand.rgba, 128)))
    corners = [np.full((224, 224, 3), 255, np.uint8) for _ in range(2)]
    corners[0][80:208, 8:136], corners[1][80:208, 80:208] = small, small
    confidence, crops = finder(np.stack(corners), 64)
    assert (confidence > 0.2).all()
    blurred = [cv2.GaussianBlur(crop, (0, 0), 3).astype(float) for crop in crops]
    assert np.corrcoef(blurred[0].ravel(), blurred[1].ravel())[0, 1] > 0.8


def test_the_missing_extra_gives_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(HandposeError, match=r"pip install \"ganerated-hands\[inception\]\""):
        inception_measure(np.zeros((4, 8, 8, 3), np.uint8))


def test_published_features_get_all_pictures_of_their_side(monkeypatch):
    """With a stand-in that keeps what it is shown: colours come first, both sides in whole, the second measure starts afresh."""
    real, fake = (
        np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), np.uint8) for seed, n in ((0, 40), (1, 37))
    )

    class Metric:
        def __init__(self, **_):
            self.reset()

        def reset(self):
            self.shown = {True: [], False: []}

        def update(self, pictures, real):
            self.shown[real].append(pictures)

        def compute(self):
            whole = {side: np.moveaxis(np.concatenate(parts), 1, -1) for side, parts in self.shown.items()}
            np.testing.assert_array_equal(whole[True], real)
            return whole[False].mean()

    class Paired(Metric):
        def compute(self):
            assert self.subset_size == min(len(real), sum(map(len, self.shown[False]))), "larger ones are refused"
            return super().compute(), 0.0

    modules = {
        "torch": SimpleNamespace(from_numpy=lambda array: array),
        "torchmetrics": SimpleNamespace(),
        "torchmetrics.image": SimpleNamespace(),
        "torchmetrics.image.fid": SimpleNamespace(FrechetInceptionDistance=Metric),
        "torchmetrics.image.kid": SimpleNamespace(KernelInceptionDistance=Paired),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    measure = inception_measure(real)
    assert measure(fake) == pytest.approx((fake.mean(), fake.mean()))
    assert measure(fake[:5]) == pytest.approx((fake[:5].mean(), fake[:5].mean()))


def test_every_figure_says_what_it_was_measured_by(tmp_path, capsys):
    real = write_prepared(tmp_path / "real", 20)
    weights = write_translator(tmp_path / "synth2real.onnx", 64, (1.3, 1.0, 0.7))
    command = ["evaluate", "--weights", str(weights), "--real", str(real), "--n", "24"]
    assert main([*command, "--json", str(tmp_path / "f.json"), "--sheet", str(tmp_path / "sheet.png")]) == 0
    sheet = read_image(tmp_path / "sheet.png")
    assert sheet.shape == (3 * 64, 10 * 64, 3)
    renders, translations, _ = np.split(sheet, 3)
    assert (renders != translations).any() and renders[0, 0].min() > 250, "hands lie on white"
    figures, printed = json.loads((tmp_path / "f.json").read_text()), capsys.readouterr().out
    assert {"fid", "fid_renders", "kid", "drift_px", "confidence_translated", "found_real"} <= set(figures)
    assert (figures["n"], figures["n_real"]) == (24, 20) and figures["fid"] != figures["fid_renders"]
    lines = [
        line
        for line in printed.splitlines()
        if any(name in line for name in ("FID", "KID", "joints moved", "confidence"))
    ]
    assert len(lines) >= 4
    for line in lines:
        assert "24" in line and "20" in line and ("resized" in line or "cut" in line), line
    few = write_prepared(tmp_path / "few", 6)
    assert main([*command[:3], "--real", str(few), "--n", "24"]) == 1
    assert "24 renders, 6 photographs" in capsys.readouterr().err
    assert main([*command, "--sheet", str(tmp_path / "sheet.txt")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "sheet.txt: cannot be written as a picture" in err
    assert main([*command, "--detector", str(tmp_path / "none.onnx")]) == 1
    assert "none.onnx" in capsys.readouterr().err
    assert main([*command, "--json", str(tmp_path / "none" / "f.json")]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"geocongan: {tmp_path / 'none'}: no such folder\n"), "told before anything is measured"


def test_the_silnet_of_the_training_does_not_judge(tmp_path, capsys):
    weights = write_translator(tmp_path / "synth2real.onnx", 64)
    first, second = tmp_path / "first", tmp_path / "second"
    for run in (first, second):
        run.mkdir()
        (run / "best.weights.h5").write_text(f"weights of {run.name}")
    assert "does not tell" in evaluate.judged_by(first, weights)
    for trained_with in (first, None):
        sha256 = hashlib.sha256(b"weights of first").hexdigest() if trained_with else ""
        weights.with_suffix(".json").write_text(json.dumps({"silnet_sha256": sha256}))
        assert evaluate.judged_by(second, weights) == "a SilNet that was part of no loss"
    assert evaluate.judged_by(first, weights) == "a SilNet that was part of no loss", "plain CycleGAN had none"
    (tmp_path / "config.json").write_text(
        json.dumps({"silnet_sha256": hashlib.sha256(b"weights of first").hexdigest()})
    )
    command = ["evaluate", "--weights", str(tmp_path), "--real", str(tmp_path), "--silnet"]
    assert main([*command, str(first)]) == 1
    assert f"{first}: the translator was trained with this SilNet" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "none")]) == 1
    assert "the weights cannot be read" in capsys.readouterr().err


def test_too_few_hands_found_give_no_distance():
    seen = iter([(np.full(30, 0.9), 30), (np.full(30, 0.5), 30), (np.zeros(30), 3)])

    def finder(pictures, size):
        confidence, count = next(seen)
        return confidence, np.zeros((count, size, size, 3), np.uint8)

    def eye(pictures):
        return np.random.default_rng(0).normal(size=(len(pictures), 4)), None

    eye.network = SimpleNamespace(input_size=8)
    pictures = np.zeros((30, 8, 8, 3), np.uint8)
    figures = evaluate.found_hands(pictures, pictures, pictures, eye, finder)
    assert figures["found_real"] == 3 and figures["confidence_translated"] == pytest.approx(0.5)
    assert "fid_hand" not in figures
