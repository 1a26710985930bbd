"""The GANerated layout: the release's files read, our own written and read back, and every broken file named."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_data import full_after

from handpose.data import ganerated
from handpose.data.files import beside
from handpose.errors import HandposeError

RNG = np.random.default_rng(0)
JOINTS = RNG.uniform((-80, -80, 400), (80, 80, 500), (21, 3))
CORNER, SCALE = (190.25, 120.5), 1.0625
ENDINGS = ("_color_composed.png", "_joint_pos.txt", "_joint2D.txt", "_joint_pos_global.txt", "_crop_params.txt")
DOT = 19  # L2


def in_crop(joints_mm):
    """Project as the users of the release do: to 640x480 pixels, then into the crop."""
    u = 617.173 * joints_mm[:, 0] / joints_mm[:, 2] + 315.453
    v = 617.173 * joints_mm[:, 1] / joints_mm[:, 2] + 242.259
    return np.stack([(u - CORNER[0]) * SCALE, (v - CORNER[1]) * SCALE], -1)


def write_line(path, values):
    path.write_text(",".join(f"{value:.6f}" for value in np.ravel(values)))


def write_released(root, kind="noObject", partition="0001", number="0001"):
    """Write a frame as released: grey, with a bright dot on L2, without a mask."""
    folder = root / "GANeratedHands_Release" / "data" / kind / partition
    folder.mkdir(parents=True, exist_ok=True)
    picture = np.full((256, 256, 3), 60, np.uint8)
    cv2.circle(picture, np.round(in_crop(JOINTS)[DOT]).astype(int).tolist(), 2, (255, 255, 255), -1)
    cv2.imwrite(str(folder / f"{number}_color_composed.png"), picture)
    write_line(folder / f"{number}_joint_pos.txt", (JOINTS - JOINTS[9]) / np.linalg.norm(JOINTS[0] - JOINTS[9]))
    write_line(folder / f"{number}_joint2D.txt", in_crop(JOINTS))
    write_line(folder / f"{number}_joint_pos_global.txt", JOINTS)
    write_line(folder / f"{number}_crop_params.txt", [*CORNER, SCALE])
    return folder / number


def test_a_released_frame(tmp_path):
    write_released(tmp_path)
    sample = ganerated.read(tmp_path)[0]
    assert sample.name == "GANeratedHands_Release/data/noObject/0001/0001" and sample.side == "left"
    np.testing.assert_allclose(sample.joints_mm, JOINTS, atol=1e-5)
    np.testing.assert_allclose(sample.joints_px, in_crop(JOINTS), atol=1e-5)
    np.testing.assert_allclose(sample.camera.project(sample.joints_mm), sample.joints_px, atol=1e-3)
    assert sample.camera.size_px == (256, 256) and sample.valid.all() and sample.mask is None


def test_the_projected_joint_lands_on_its_dot(tmp_path):
    write_released(tmp_path)
    sample = ganerated.read(tmp_path)[0]
    column, row = np.round(sample.camera.project(sample.joints_mm)[DOT]).astype(int)
    assert sample.image[row, column].tolist() == [255, 255, 255]
    other = np.round(sample.joints_px[DOT - 1]).astype(int)
    assert sample.image[other[1], other[0]].tolist() == [60, 60, 60]


def test_frames_are_counted_from_the_tree(tmp_path):
    for kind, partition, number in (
        ("withObject", "0092", "0001"), ("noObject", "0069", "0216"), ("noObject", "0002", "1024"), ("noObject", "0069", "0001"),
    ):  # fmt: skip
        write_released(tmp_path, kind, partition, number)
    release = tmp_path / "GANeratedHands_Release"
    (release / "README.txt").write_text("")
    names = ["noObject/0002/1024", "noObject/0069/0001", "noObject/0069/0216", "withObject/0092/0001"]
    assert ganerated.read(release / "data").frames == names
    for folder, count in ((tmp_path, 4), (release, 4), (release / "data", 4), (release / "data" / "noObject", 3)):
        assert ganerated.recognises(folder) and len(ganerated.read(folder)) == count


@pytest.mark.parametrize("ending", ENDINGS)
def test_missing_files_are_named(tmp_path, ending):
    write_released(tmp_path)
    beside(write_released(tmp_path, number="0002"), ending).unlink()
    with pytest.raises(HandposeError, match=f"0002{ending}: missing"):
        ganerated.read(tmp_path)


@pytest.mark.parametrize(
    ("ending", "content", "words"),
    [
        ("_joint_pos_global.txt", "1,2,3", "expected 63 numbers, found 3"),
        ("_joint_pos_global.txt", ",".join(["nan"] * 63), "not all of its numbers are finite"),
        ("_joint_pos_global.txt", ",".join(["-5"] * 63), "behind the camera"),
        ("_joint2D.txt", "", "expected 42 numbers, found 0"),
        ("_joint2D.txt", ",".join(["400"] * 42), "px off the projected 3D joints"),
        ("_crop_params.txt", "190, 120", "expected 3 numbers, found 2"),
        ("_crop_params.txt", "190, 120, 0", "the scale is 0"),
        ("_crop_params.txt", "a,b,c", "not readable as numbers"),
    ],
)
def test_broken_labels_are_named(tmp_path, ending, content, words):
    beside(write_released(tmp_path), ending).write_text(content)
    with pytest.raises(HandposeError, match=f"0001{ending}: .*{words}"):
        ganerated.read(tmp_path)[0]


def test_broken_pictures_are_named(tmp_path):
    frame = beside(write_released(tmp_path), "_color_composed.png")
    cv2.imwrite(str(frame), np.zeros((128, 256, 3), np.uint8))
    with pytest.raises(HandposeError, match="0001_color_composed.png: expected 256x256 pixels, found 256x128"):
        _ = ganerated.read(tmp_path)[0].image
    frame.write_bytes(b"not a picture")
    with pytest.raises(HandposeError, match="0001_color_composed.png"):
        _ = ganerated.read(tmp_path)[0].image


def test_another_folder_is_not_taken(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "0001_color_composed.png").write_bytes(b"")
    assert not ganerated.recognises(tmp_path)
    with pytest.raises(HandposeError, match="no GANerated frames"):
        ganerated.read(tmp_path)


PICTURE = RNG.integers(0, 256, (256, 256, 3), dtype=np.uint8)
MASK = RNG.integers(0, 256, (256, 256), dtype=np.uint8)


def test_what_is_written_is_read_back(tmp_path):
    for index, with_object in ((0, False), (1024, False), (3, True)):
        ganerated.write(ganerated.frame_path(tmp_path, index, with_object), PICTURE, MASK, JOINTS, CORNER, SCALE)
    frames = ganerated.read(tmp_path)
    assert frames.frames == ["data/noObject/0001/0001", "data/noObject/0002/0001", "data/withObject/0001/0004"]
    sample = frames[2]
    np.testing.assert_array_equal(sample.image, PICTURE)
    np.testing.assert_array_equal(sample.mask, MASK)
    np.testing.assert_allclose(sample.joints_px, in_crop(JOINTS), atol=1e-3)


def test_the_files_are_those_of_the_release(tmp_path):
    released, written = write_released(tmp_path), tmp_path / "ours" / "0001"
    ganerated.write(written, PICTURE, MASK, JOINTS, CORNER, SCALE)
    assert {file.name for file in written.parent.iterdir()} == {f"0001{ending}" for ending in (*ENDINGS, "_mask.png")}
    for ending in ENDINGS[1:]:
        ours, theirs = (np.loadtxt(beside(frame, ending), delimiter=",") for frame in (written, released))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert beside(written, ending).read_text().count("\n") == 1


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.floats(-50, 600), st.floats(-50, 450), st.floats(0.3, 5)
)  # fmt: skip
def test_labels_come_back(tmp_path_factory, seed, left, top, scale):
    joints = np.random.default_rng(seed).uniform((-300, -300, 150), (300, 300, 1500), (21, 3))
    frame = ganerated.frame_path(tmp_path_factory.mktemp("frame"), 0)
    ganerated.write(frame, PICTURE, MASK, joints, (left, top), scale)
    sample = ganerated.read(frame.parents[2])[0]
    np.testing.assert_allclose(sample.joints_mm, joints, atol=1e-3)
    np.testing.assert_allclose(sample.joints_px, ganerated.crop_camera((left, top), scale).project(joints), atol=1e-3)
    np.testing.assert_allclose(sample.camera.project(sample.joints_mm), sample.joints_px, atol=1e-2)
    length = np.linalg.norm(joints[0] - joints[9])
    relative = np.loadtxt(beside(frame, "_joint_pos.txt"), delimiter=",").reshape(21, 3)
    np.testing.assert_allclose(relative * length + joints[9], joints, atol=1e-3 * max(1, length))


def test_a_frame_counts_only_when_its_last_file_is_there(tmp_path):
    frame = ganerated.frame_path(tmp_path, 0)
    assert not ganerated.is_written(frame)
    ganerated.write(frame, PICTURE, MASK, JOINTS, CORNER, SCALE)
    assert ganerated.is_written(frame)


@pytest.mark.parametrize("count", [1, 5])
def test_what_there_is_of_an_unfinished_frame_is_whole(tmp_path, monkeypatch, count):
    whole, frame = tmp_path / "whole" / "0001", tmp_path / "unfinished" / "0001"
    ganerated.write(whole, PICTURE, MASK, JOINTS, CORNER, SCALE)
    monkeypatch.setattr("handpose.atomic.os.replace", full_after(count))
    with pytest.raises(HandposeError, match="0001: cannot be written .No space left"):
        ganerated.write(frame, PICTURE, MASK, JOINTS, CORNER, SCALE)
    found = list(frame.parent.iterdir())
    assert len(found) == count and not ganerated.is_written(frame)
    assert all(file.read_bytes() == whole.with_name(file.name).read_bytes() for file in found)


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(HandposeError, match="expected square pictures of 128, 256, 512 px, found \\(128, 256, 3\\)"):
        ganerated.write(tmp_path / "0001", PICTURE[:128], MASK, JOINTS, CORNER, SCALE)
    (tmp_path / "data").write_text("a file in the way")
    with pytest.raises(HandposeError, match="cannot be written"):
        ganerated.write(ganerated.frame_path(tmp_path, 0), PICTURE, MASK, JOINTS, CORNER, SCALE)
