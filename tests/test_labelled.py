"""Labelled hands in their ideal crops: the truth moves with the crop, and what is not labelled does not spoil it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_data import write_photo_set

from handpose.camera import Camera
from handpose.data import synth_hands
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.kinematics import forward_kinematics
from handpose.skeleton import Skeleton
from regnet.labelled import cut, is_labelled, labelled_windows


def hand_mm(seed):
    rng = np.random.default_rng(seed)
    vector = np.r_[rng.uniform(-90, 90, 2), rng.uniform(450, 700), rng.normal(0, 1, 3), rng.uniform(0, 0.6, 20)]
    return forward_kinematics(Skeleton.default("left"), vector)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_3d_truth_in_the_axes_of_the_crop_projects_onto_the_2d_truth(seed):
    camera = Camera.from_fov((640, 480))
    joints_mm = hand_mm(seed)
    image = np.zeros((480, 640, 3), np.uint8)
    window = cut(Sample("x", lambda: image, camera.project(joints_mm), joints_mm=joints_mm, camera=camera), 128)
    in_window = window.crop.to_crop(window.joints_px)
    np.testing.assert_allclose(window.crop.camera.project(window.joints_mm), in_window, atol=1e-6)
    assert (np.ptp(in_window, axis=0) <= 128 / 1.5 + 1e-6).all()


def test_joints_without_a_label_do_not_move_the_crop_far():
    image = np.zeros((480, 640, 3), np.uint8)
    camera = Camera.from_fov((640, 480))
    joints_px = camera.project(hand_mm(1))
    valid = np.ones(21, bool)
    valid[[4, 8]] = False
    broken = np.where(valid[:, None], joints_px, np.nan)
    window = cut(Sample("x", lambda: image, broken, valid), 128)
    assert np.isfinite(window.joints_px).all() and window.image.shape == (128, 128, 3)
    assert (np.abs(window.crop.to_crop(joints_px[valid]) - 63.5) < 64).all()


def test_every_known_layout_is_read_and_anything_else_is_not(tmp_path):
    photo_set = write_photo_set(tmp_path / "photos", 3)
    frames = tmp_path / "frames"
    joints = hand_mm(2) - synth_hands.COLOUR_FROM_DEPTH_MM
    green = np.full((480, 640, 3), synth_hands.CHROMA, np.uint8)
    nothing = np.zeros((480, 640))
    synth_hands.write(synth_hands.frame_path(frames, 0), green, nothing.astype(np.uint8), green, nothing, joints)
    for folder, count, has_3d in ((photo_set, 3, False), (frames, 1, True)):
        assert is_labelled(folder)
        windows, n = labelled_windows(folder, 128)
        windows = list(windows)
        assert len(windows) == n == count
        assert all((window.joints_mm is not None) == has_3d for window in windows)
    np.testing.assert_allclose(
        np.linalg.norm(windows[0].joints_mm, axis=1), np.linalg.norm(hand_mm(2), axis=1), atol=1e-3
    )
    assert not is_labelled(photo_set / "images") and not is_labelled(tmp_path / "none")
    with pytest.raises(HandposeError, match="no dataset of a known layout"):
        labelled_windows(photo_set / "images", 128)
