"""Hands cut out of cluttered pictures: known silhouettes are found, forearms too, and what cannot be told is not."""

import cv2
import numpy as np
import pytest
from tests_data import write_photo_set

from handpose.data.grabcut import alpha_by_joints
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.foreground import straight
from handpose.synthesis.sampler import RenderSampler
from regnet.dataset_crops import OnDemand, windows_of
from regnet.labelled import open_split
from regnet.photo_crops import PhotoCrops
from regnet.shards import decode, encode


def hand_before_a_blue_wall(number: int):
    """A rendered hand, small enough for its forearm to show: picture, joints, and its alpha."""
    hand = RenderSampler(0, 192).foreground(number, 192)
    picture = straight(hand.rgba)
    share = picture[..., 3:].astype(float) / 255
    rows = np.linspace(0, 60, 192)[:, None, None]
    wall = np.array([60, 90, 150]) + rows + np.random.default_rng(number).normal(0, 6, (192, 192, 3))
    return (
        (picture[..., :3] * share + wall * (1 - share)).clip(0, 255).astype(np.uint8),
        hand.joints_px,
        picture[..., 3],
    )


def test_hands_are_told_from_what_is_behind_them():
    overlaps = []
    for number in range(12):
        image, joints_px, alpha = hand_before_a_blue_wall(number)
        found = alpha_by_joints(image, joints_px)
        if found is not None:
            (left, top), (right, bottom) = joints_px.min(0).astype(int) - 4, joints_px.max(0).astype(int) + 5
            known, told = alpha[top:bottom, left:right] > 127, found[top:bottom, left:right] > 127
            overlaps.append((known & told).sum() / (known | told).sum())
    assert len(overlaps) >= 8 and min(overlaps) > 0.7 and np.median(overlaps) > 0.85


def test_the_forearm_belongs_to_the_hand():
    image = np.full((160, 160, 3), (70, 100, 160), np.uint8)
    image = (image + np.random.default_rng(0).normal(0, 5, image.shape)).clip(0, 255).astype(np.uint8)
    cv2.circle(image, (80, 60), 24, (205, 150, 120), -1)
    cv2.rectangle(image, (70, 60), (90, 159), (205, 150, 120), -1)
    turns = np.linspace(-0.9, 0.9, 5)
    fingers = [(80 + r * np.sin(a), 66 - r * np.cos(a)) for a in turns for r in (10, 15, 20, 26)]
    alpha = alpha_by_joints(image, np.array([(80, 82), *fingers]))
    assert alpha is not None
    assert alpha[110, 80] == 255 and alpha[110, 120] == 0


def test_a_hand_like_its_ground_is_not_cut_out():
    grey = np.full((120, 120, 3), 128, np.uint8)
    assert alpha_by_joints(grey, np.random.default_rng(0).uniform(40, 80, (21, 2))) is None


def test_a_hand_off_its_picture_is_not_cut_out():
    image = np.full((120, 120, 3), (200, 150, 120), np.uint8)
    joints_px = np.random.default_rng(0).uniform(40, 80, (21, 2))
    assert alpha_by_joints(image, joints_px + 500) is None
    alpha_by_joints(image, joints_px * 30 - 1500)  # nor does one that is larger than its picture raise


@pytest.fixture(scope="module")
def windows(shared_data):
    return windows_of(open_split(shared_data / "real" / "hands_dguzk", "train", ()))[:60:3]


def test_windows_of_photographs_are_cut_out_when_asked_and_shards_keep_that(windows):
    cut = [window for window in windows if (window.cut_out[..., 3] != window.image[..., 3]).any()]
    assert len(cut) >= 14, "most can be"
    for window in cut:
        x, y = window.joints_px.round().astype(int).T.clip(0, 191)
        assert (window.cut_out[y, x, 3] > 127).mean() > 0.8, "joints lie on the hand"
        assert (window.cut_out[..., :3] == window.image[..., :3]).all()
        np.testing.assert_array_equal(decode(encode(window, 0, 0)).cut_out[..., 3], window.cut_out[..., 3])


def test_large_sets_are_not_searched_at_every_draw(tmp_path, monkeypatch):
    """Windows that are not kept would be cut out again and again, 40 ms each."""
    opened = open_split(write_photo_set(tmp_path / "photos", 3), None, ())
    assert all(window.cluttered for window in windows_of(opened))
    monkeypatch.setattr("regnet.dataset_crops.alpha_by_joints", lambda image, joints: pytest.fail("searched"))
    for window in OnDemand(opened):
        assert window.cut_out is window.image


def test_cut_out_hands_get_new_grounds(tmp_path, monkeypatch):
    """Where all of a picture is taken for ground, most items show nothing but another one."""
    folder = write_photo_set(tmp_path / "photos", 1)
    monkeypatch.setattr(
        "regnet.dataset_crops.alpha_by_joints", lambda image, joints: np.zeros(image.shape[:2], np.uint8)
    )
    monkeypatch.setattr(
        Backgrounds, "sample", lambda self, rng, size: np.full((size, size, 3), (255, 0, 255), np.uint8)
    )
    monkeypatch.setattr("regnet.photo_crops.random_look", lambda image, rng: image)
    monkeypatch.setattr("regnet.photo_crops.cut_out", lambda image, rng, filler: image)
    crops = PhotoCrops([folder], None, Backgrounds())
    items = [crops.item(np.random.default_rng(seed)) for seed in range(60)]
    shown = np.mean([(item["image"] == (255, 0, 255)).all() for item in items if item["presence"][0]])
    assert 0.5 < shown < 0.9
