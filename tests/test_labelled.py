"""Labelled hands in their ideal crops: the truth moves with the crop, and what is not labelled does not spoil it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dexter import write_ego, write_object
from test_ganerated import write_released
from tests_data import write_photo_set

from handpose.camera import Camera
from handpose.data import synth_hands
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.kinematics import forward_kinematics
from handpose.skeleton import TIPS, Skeleton
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


def points_up(window, joints_px):
    """Say whether the true W and M0 (of 21, 2) [px] lie within 45 degrees of upright in a window."""
    across, down = np.diff(window.crop.to_crop(joints_px)[[0, 9]], axis=0)[0]
    return -down > abs(across)


@pytest.mark.parametrize("hidden", [(0,), (0, 5), (0, 13, 17), (0, *TIPS)])
def test_a_hand_without_its_wrist_points_up_still(hidden):
    """Amid the other joints, beyond M0, the wrist of an open hand would have it stand on its head."""
    camera = Camera.from_fov((640, 480))
    image = np.zeros((480, 640, 3), np.uint8)
    valid = ~np.isin(np.arange(21), hidden)
    for seed in range(30):
        joints_px = camera.project(hand_mm(seed))
        broken = np.where(valid[:, None], joints_px, np.nan)
        window = cut(Sample("x", lambda: image, broken, valid), 128)
        assert points_up(window, joints_px) and window.picture is None, seed
        np.testing.assert_allclose(window.joints_px[0], joints_px[valid].mean(0))


def test_where_nothing_tells_which_way_a_hand_points_its_crop_is_upright():
    camera = Camera.from_fov((640, 480))
    joints_px = camera.project(hand_mm(4))
    image = np.zeros((480, 640, 3), np.uint8)
    for hidden in ([0, 1], [0, 5, 9, 13]):
        valid = ~np.isin(np.arange(21), hidden)
        window = cut(Sample("x", lambda: image, joints_px, valid), 128)
        assert window.crop.camera_from_crop[1, 0] == pytest.approx(0, abs=0.02) and window.picture is image


def test_exact_labels_of_hidden_joints_aim_the_crop():
    camera = Camera.from_fov((640, 480))
    joints_mm = hand_mm(5)
    image = np.zeros((480, 640, 3), np.uint8)
    seen, few = np.arange(21) > 8, np.arange(21) > 17
    whole, *hidden = (
        cut(Sample("x", lambda: image, camera.project(joints_mm), valid, joints_mm, camera=camera), 128, "rhd")
        for valid in (np.ones(21, bool), seen, few)
    )
    for window in hidden:
        np.testing.assert_array_equal(window.crop.camera_from_crop, whole.crop.camera_from_crop)
        assert window.crop.focal_px == whole.crop.focal_px and window.picture is None


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


def test_an_excerpt_of_a_release_is_read_too(tmp_path):
    write_released(tmp_path)
    windows, n = labelled_windows(tmp_path, 128)
    (window,) = windows
    assert n == 1 and is_labelled(tmp_path) and window.picture is None
    np.testing.assert_allclose(
        window.crop.camera.project(window.joints_mm), window.crop.to_crop(window.joints_px), atol=0.05
    )


@pytest.mark.parametrize("write", [write_object, write_ego])
def test_fingertips_are_aimed_at_twice(tmp_path, write):
    """First wide and upright, for the palm lies anywhere beside the tips; then at the joints that were seen."""
    write(tmp_path)
    windows, n = labelled_windows(tmp_path, 128)
    windows = list(windows)
    assert n == len(windows) == 3
    for window in windows:
        assert np.flatnonzero(window.valid).tolist() == TIPS.tolist()
        assert np.isfinite(window.joints_px).all() and np.isnan(window.joints_mm[~window.valid]).all()
        tips = window.crop.to_crop(window.joints_px)[TIPS]
        assert 0.05 * 128 < np.ptp(tips, axis=0).max() < 0.6 * 128, "the palm has room, too"
        assert window.crop.camera_from_crop[1, 0] == pytest.approx(0, abs=0.02)
        hand = np.random.default_rng(0).uniform(20, 70, (21, 2))
        again = window.aimed_at(hand)
        np.testing.assert_array_equal(again.joints_px, window.joints_px)
        for seen in (window, again):
            projected = seen.crop.camera.project(seen.joints_mm[TIPS])
            np.testing.assert_allclose(projected, seen.crop.to_crop(seen.joints_px[TIPS]), atol=1e-6)
        for nothing in (np.random.default_rng(1).uniform(-900, 900, (21, 2)), np.full((21, 2), 64.0), hand * np.nan):
            assert window.aimed_at(nothing) is window, "where no hand is, its joints may be seen anywhere"
        inside = again.crop.to_crop(window.crop.to_image(hand))
        assert (np.abs(inside - 63.5) < 64).all() and np.ptp(inside, axis=0).max() == pytest.approx(128 / 1.5, rel=0.05)


def test_well_labelled_hands_are_aimed_at_once(tmp_path):
    windows, _ = labelled_windows(write_photo_set(tmp_path / "photos", 2), 128)
    for window in windows:
        assert window.aimed_at(np.zeros((21, 2))) is window


def test_samples_without_a_labelled_joint_are_passed_over_and_counted(tmp_path, capsys):
    from test_dataset_crops import write_freihand

    windows, n = labelled_windows(write_freihand(tmp_path, evaluation_labels=False), 128)
    assert n == 5 and len(list(windows)) == 3
    assert capsys.readouterr().err == "2 of 5 samples have no labelled joint and are passed over\n"


def test_a_side_of_the_split_can_be_asked_for(tmp_path):
    from test_dataset_crops import write_freihand

    folder = write_freihand(tmp_path / "f")
    for split, count in (("train", 3), ("held_out", 2), (None, 5)):
        windows, n = labelled_windows(folder, 128, split=split)
        assert n == len(list(windows)) == count
    write_object(tmp_path / "d")
    with pytest.raises(HandposeError, match="dexter has no split"):
        labelled_windows(tmp_path / "d", 128, split="held_out")
