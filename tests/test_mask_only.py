"""Hands of which only a silhouette is known: it stays on the picture through every alteration, and is all that they teach of joints."""

import cv2
import numpy as np
import pytest

from handpose.data.sample import Sample
from handpose.synthesis.backgrounds import Backgrounds
from regnet.dataset_crops import cut_window, windows_of
from regnet.labelled import Opened
from regnet.photo_crops import PhotoCrops


class Samples(list):
    name = "masks"


def blob(side="left", empty=False):
    """A bright tilted ellipse on a dark ground, and its mask."""
    mask = np.zeros((240, 320), np.uint8)
    cv2.ellipse(mask, (200, 90), (60, 25), 30, 0, 360, 255, -1)
    image = np.repeat(30 + (mask // 2)[..., None], 3, -1)
    shown = 0 * mask if empty else mask
    return Sample("m", lambda: image, np.zeros((21, 2)), np.zeros(21, bool), side=side, load_mask=lambda: shown)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_window_is_aimed_at_the_silhouette(side):
    window = cut_window(blob(side))
    rows, columns = np.nonzero(window.silhouette > 127)
    assert abs(rows.mean() - 95.5) < 3 and abs(columns.mean() - 95.5) < 3
    assert 0.3 < np.ptp(columns) / 192 < 0.7
    bright = window.image[..., 0] > 90
    assert (bright == (window.silhouette > 127)).mean() > 0.995


def test_items_keep_silhouette_and_picture_together(monkeypatch):
    monkeypatch.setattr("regnet.photo_crops.random_look", lambda image, rng: image)
    monkeypatch.setattr("regnet.photo_crops.cut_out", lambda image, rng, filler: image)
    monkeypatch.setattr("regnet.photo_crops.open_split", lambda folder, split, read: Opened("x", Samples([blob()])))
    monkeypatch.setattr(Backgrounds, "sample", lambda self, rng, size: np.full((size, size, 3), 30, np.uint8))
    crops = PhotoCrops(["masks"], None, Backgrounds())
    items = [crops.item(np.random.default_rng(seed)) for seed in range(40)]
    masked = [item for item in items if item["masked"]]
    assert len(masked) > 15 and {bool(item["left"][0]) for item in masked} == {False, True}
    for item in masked:
        bright = cv2.resize(item["image"][..., 0], (32, 32), interpolation=cv2.INTER_AREA) > 90
        assert (bright == (item["mask"] > 0.5)).mean() > 0.97
    for item in items:
        assert not item["known_3d"].any() and not item["flat"]
        assert not item["labelled"].any() or not item["presence"][0], "only a picture without a hand has empty maps"
        assert item["mask"].shape == (32, 32) and item["mask"].dtype == np.float32


def test_an_empty_silhouette_tells_nothing(capsys):
    assert len(windows_of(Opened("x", Samples([blob(), blob(empty=True)])))) == 1
    assert "1 of 2 samples have no joint or mask: passed over" in capsys.readouterr().out


def test_labelled_joints_ask_no_silhouette():
    sample = blob()
    rng = np.random.default_rng(0)
    joints_px, valid = rng.uniform((150, 70), (250, 110), (21, 2)), np.arange(21) != 4
    labelled = Sample("l", sample.load_image, joints_px, valid, side="left", load_mask=sample.load_mask)
    assert cut_window(labelled).silhouette is None
