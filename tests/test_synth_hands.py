"""The SynthHands layout: written and read back, raw release trees, and every broken file named."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests_data import full_after

from handpose.data import ganerated, synth_hands
from handpose.data.files import beside
from handpose.data.synth_hands import CHROMA, COLOUR_CAMERA, COLOUR_FROM_DEPTH_MM, DEPTH_CAMERA
from handpose.errors import HandposeError

RNG = np.random.default_rng(0)
JOINTS = RNG.uniform((-80, -80, 400), (80, 80, 500), (21, 3))
HAND = np.zeros((480, 640), np.uint8)
HAND[200:300, 250:350] = 255
PICTURE = np.where(HAND[..., None] > 0, np.uint8(150), np.array(CHROMA, np.uint8))


def write(root, index=0):
    """Write one frame of a grey square."""
    frame = synth_hands.frame_path(root, index)
    synth_hands.write(frame, PICTURE, HAND, PICTURE, np.where(HAND > 0, 432.4, 0), JOINTS)
    return frame


def depth_mm(frame):
    """The depth picture of a frame, 0 where it is invalid."""
    depth = cv2.imread(str(beside(frame, "_depth.png")), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and depth.shape == (480, 640)
    return np.where(depth == 32001, 0, depth.astype(float))


def test_what_is_written_is_read_back(tmp_path):
    for index in (0, 1, 700):
        write(tmp_path, index)
    frames = synth_hands.read(tmp_path)
    assert synth_hands.recognises(tmp_path) and len(frames) == 3
    sample = frames[0]
    assert (sample.name, sample.side) == ("seq01/cam01/01/00000000", "left")
    np.testing.assert_allclose(sample.joints_mm, JOINTS + COLOUR_FROM_DEPTH_MM, atol=1e-4)
    np.testing.assert_allclose(sample.joints_px, COLOUR_CAMERA.project(sample.joints_mm), atol=1e-9)
    assert sample.valid.all() and sample.camera == COLOUR_CAMERA
    np.testing.assert_array_equal(sample.image, PICTURE)
    np.testing.assert_array_equal(sample.mask, HAND)
    np.testing.assert_array_equal(depth_mm(frames.frames[0]), np.where(HAND > 0, 432, 0))


def test_the_files_are_those_of_the_release(tmp_path):
    frame = write(tmp_path)
    names = {"color.png", "color_on_depth.png", "depth.png", "joint_pos.txt", "mask.png"}
    assert {file.name for file in frame.parent.iterdir()} == {f"00000000_{name}" for name in names}
    depth = cv2.imread(str(beside(frame, "_depth.png")), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and depth[0, 0] == 32001 and depth[250, 300] == 432
    corner = cv2.imread(str(beside(frame, "_color.png")))[0, 0, ::-1]
    assert tuple(corner) == (14, 255, 14)


def test_folders_nest_as_in_the_release_and_hold_fewer_than_500_frames(tmp_path):
    folders = {}
    for index in range(480 * 3 * 5 * 2 + 1):
        path = synth_hands.frame_path(tmp_path, index).relative_to(tmp_path)
        folders.setdefault(path.parent.as_posix(), []).append(path.name)
    assert max(map(len, folders.values())) < 500
    assert list(folders)[:4] == ["seq01/cam01/01", "seq01/cam01/02", "seq01/cam01/03", "seq01/cam02/01"]
    assert list(folders)[-1] == "seq03/cam01/01"
    assert all(int(name) < 500 for names in folders.values() for name in names)


def test_the_raw_release_has_no_masks_and_some_rgba_pictures(tmp_path):
    frame = tmp_path / "SynthHands_Release" / "female_object" / "seq03" / "cam02" / "03" / "00000017"
    synth_hands.write(frame, PICTURE, HAND, PICTURE, np.where(HAND > 0, 500.0, 0), JOINTS)
    beside(frame, "_mask.png").unlink()
    cv2.imwrite(str(beside(frame, "_color.png")), np.dstack([PICTURE[..., ::-1], np.full_like(HAND, 255)]))
    sample = synth_hands.read(tmp_path)[0]
    assert sample.image.shape == (480, 640, 3)
    np.testing.assert_array_equal(sample.mask, HAND)


def test_parts_on_another_disk_are_read_through_their_links(tmp_path):
    for part in ("male_noobject", "female_noobject"):
        write(tmp_path / "release" / part)
    (tmp_path / "release" / "male_noobject").rename(tmp_path / "elsewhere")
    (tmp_path / "release" / "male_noobject").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "release")
    assert len(synth_hands.read(tmp_path / "release")) == 2
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "male_noobject").symlink_to(tmp_path / "elsewhere")
    assert synth_hands.recognises(tmp_path / "alone")


def test_frames_with_objects_can_be_left_out(tmp_path):
    """Wherever in the release one begins; and only by the names of its folders."""
    release = tmp_path / "my_object" / "SynthHands_Release"
    for kind in ("female_object", "male_noobject"):
        write(release / kind)
    for folder, kept in ((release, 1), (release / "male_noobject", 1), (release.parent, 1)):
        frames = synth_hands.read(folder).without_objects()
        assert len(frames) == kept and "female_object" not in frames[0].name, folder
    for folder in (release / "female_object", release / "female_object" / "seq01"):
        with pytest.raises(HandposeError, match="only hands with objects; give"):
            synth_hands.read(folder).without_objects()


def test_colour_and_depth_cameras_see_the_same_points():
    point = np.array([10.0, 20, 500])
    shift = COLOUR_CAMERA.project(point + COLOUR_FROM_DEPTH_MM) - COLOUR_CAMERA.project(point)
    assert shift[0] == pytest.approx(617.173 * 24.7 / 503.72, abs=0.2)
    assert DEPTH_CAMERA.project(point)[0] == pytest.approx(475.62 * 10 / 500 + 311.125)


def test_a_dot_drawn_at_a_joint_lies_under_it(tmp_path):
    """By the release's numbers: the joint is in the depth camera's frame, the picture is the colour camera's."""
    x, y, z = JOINTS[8] + (24.7, -0.0471401, 3.72045)
    dot = 617.173 * x / z + 315.453, 617.173 * y / z + 242.259
    frame, picture = write(tmp_path), PICTURE.copy()
    cv2.circle(picture, np.round(dot).astype(int).tolist(), 3, (255, 255, 255), -1)
    cv2.imwrite(str(beside(frame, "_color.png")), picture[..., ::-1])
    sample = synth_hands.read(tmp_path)[0]
    for joint in (8, 7):
        column, row = np.round(sample.joints_px[joint]).astype(int)
        assert (sample.image[row, column].min() == 255) == (joint == 8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1, 2, 3", "expected 63 numbers, found 3"),
        (", ".join(["nan"] * 63), "not all of its numbers are finite"),
        ("one, two", "not readable as numbers"),
        (", ".join(["-50"] * 63), "behind the camera"),
        ("", "expected 63 numbers, found 0"),
    ],
)
def test_broken_joints_are_named(tmp_path, content, words):
    frame = write(tmp_path)
    beside(frame, "_joint_pos.txt").write_text(content)
    with pytest.raises(HandposeError, match=f"00000000_joint_pos.txt.*{words}"):
        synth_hands.read(tmp_path)[0]


@pytest.mark.parametrize("ending", ["_color.png", "_joint_pos.txt"])
def test_missing_files_are_named(tmp_path, ending):
    write(tmp_path, 0)
    beside(write(tmp_path, 1), ending).unlink()
    with pytest.raises(HandposeError, match=f"00000001{ending}: missing"):
        synth_hands.read(tmp_path)


def test_broken_pictures_are_named(tmp_path):
    frame = write(tmp_path)
    path = beside(frame, "_color.png")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(HandposeError, match="00000000_color.png"):
        _ = synth_hands.read(tmp_path)[0].image


def test_pictures_of_another_size_are_named(tmp_path):
    frame = write(tmp_path)
    cv2.imwrite(str(beside(frame, "_color.png")), PICTURE[:240, :320])
    with pytest.raises(HandposeError, match="expected 640x480 pixels, found 320x240"):
        _ = synth_hands.read(tmp_path)[0].image


def test_a_folder_of_something_else_is_not_taken(tmp_path):
    (tmp_path / "picture_color.png").write_bytes(b"")
    assert not synth_hands.recognises(tmp_path)
    with pytest.raises(HandposeError, match="no SynthHands frames"):
        synth_hands.read(tmp_path / "absent")


def test_one_folder_of_frames_tells_the_layout(tmp_path, monkeypatch):
    """Releases hold hundreds of thousands of files, which nobody wants to walk through to learn whose they are."""
    ours, other = tmp_path / "SynthHands", tmp_path / "GANerated"
    for part in range(3):
        write(ours, 480 * part)
        frame = ganerated.frame_path(other, 1024 * part)
        ganerated.write(frame, PICTURE[:128, :128], HAND[:128, :128], JOINTS, (0, 0), 1)
    scan, scanned = os.scandir, set()
    monkeypatch.setattr(os, "scandir", lambda folder: scanned.add(Path(folder)) or scan(folder))
    assert synth_hands.recognises(ours) and not synth_hands.recognises(other)
    monkeypatch.undo()
    with_frames = {file.parent for file in tmp_path.rglob("*_joint_pos.txt")}
    assert len(with_frames) == 6 and len(scanned & with_frames) == 2


def test_a_frame_counts_only_when_its_joints_are_there(tmp_path):
    frame = write(tmp_path)
    assert synth_hands.is_written(frame)
    beside(frame, "_joint_pos.txt").unlink()
    assert not synth_hands.is_written(frame)


@pytest.mark.parametrize("count", [1, 4])
def test_what_there_is_of_an_unfinished_frame_is_whole(tmp_path, monkeypatch, count):
    whole = write(tmp_path / "whole")
    monkeypatch.setattr("handpose.atomic.os.replace", full_after(count))
    with pytest.raises(HandposeError, match="00000000: cannot be written .No space left"):
        write(tmp_path / "unfinished")
    frame = synth_hands.frame_path(tmp_path / "unfinished", 0)
    found = list(frame.parent.iterdir())
    assert len(found) == count and not synth_hands.is_written(frame)
    assert all(file.read_bytes() == whole.with_name(file.name).read_bytes() for file in found)


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "seq01").write_text("a file in the way")
    with pytest.raises(HandposeError, match="cannot be written"):
        write(tmp_path)
