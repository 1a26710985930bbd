"""The STB layout: three cameras, labels in two frames, fingers from the little one on, a palm for a wrist, and every broken file named."""

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from handpose.data import stb
from handpose.errors import HandposeError
from handpose.skeleton import JOINT_NAMES, Skeleton

# Canonical joint i is column SOURCE[i] of handPara; column 0 is the palm.
SOURCE = [0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4]
STEREO_K = np.array([[822.79041, 0, 318.47345], [0, 822.79041, 250.31296], [0, 0, 1]])
COLOUR_K = np.array([[607.92271, 0, 314.78337], [0, 607.88192, 236.42484], [0, 0, 1]])
ROTATION = cv2.Rodrigues(np.array([0.00531, -0.01196, 0.00301]))[0]  # the release's: colour camera to depth camera
TRANSLATION = np.array([-24.0381, -0.4563, -1.2326])
MOTION = np.array([5.0, -3, 2])
N = 3


def hand_mm(frame):
    """A left hand with its palm at index 0, canonical order, in the frame of the labels."""
    joints = Skeleton.default("left").rest_joints_mm * (1, -1, -1) + (40, 60, 600) + frame * MOTION
    joints[0] = (joints[0] + joints[9]) / 2
    return joints


def projected(view, joints):
    """Project label-frame joints by the release's own calibration."""
    if view == "SK_color":
        in_colour = np.linalg.solve(ROTATION, (joints - TRANSLATION).T)
        pixels = COLOUR_K @ in_colour
    else:
        pixels = STEREO_K @ (joints - (120.054 if view == "BB_right" else 0.0, 0, 0)).T
    return (pixels[:2] / pixels[2]).T


def write(root, sequence="B1Counting", views=stb.VIEWS, images="images"):
    """Write a sequence whose pictures show a dot at the tip of the ring finger."""
    folder, label_folder = root / images / sequence, root / "labels"
    folder.mkdir(parents=True)
    label_folder.mkdir(exist_ok=True)
    para = np.empty((3, 21, N))
    for frame in range(N):
        para[:, SOURCE, frame] = hand_mm(frame).T
        for view in views:
            picture = np.zeros((480, 640, 3), np.uint8)
            column, row = np.round(projected(view, hand_mm(frame))[JOINT_NAMES.index("R3")]).astype(int)
            picture[row, column] = 255
            cv2.imwrite(str(folder / f"{view}_{frame}.png"), picture)
    for camera in ("BB", "SK"):
        savemat(label_folder / f"{sequence}_{camera}.mat", {"handPara": para})
    return folder


@pytest.mark.parametrize("view", stb.VIEWS)
def test_joints_meet_the_pictures_of_every_camera(tmp_path, view):
    write(tmp_path)
    frames = stb.read(tmp_path, views=view, wrist="palm")
    for frame in range(N):
        sample = frames[frame]
        np.testing.assert_allclose(sample.joints_px, projected(view, hand_mm(frame)), atol=1e-9)
        np.testing.assert_allclose(sample.joints_px, sample.camera.project(sample.joints_mm))
        row, column = np.argwhere(sample.image[..., 0] == 255)[0]
        np.testing.assert_allclose(sample.joints_px[JOINT_NAMES.index("R3")], (column, row), atol=0.5)
        assert sample.name == f"B1Counting/{view}_{frame}.png"
        assert sample.valid.all() and sample.side == "left" and sample.camera.size_px == (640, 480)


def test_stereo_cameras_lie_a_baseline_apart(tmp_path):
    write(tmp_path)
    left, right = (stb.read(tmp_path, views=view)[1] for view in ("BB_left", "BB_right"))
    np.testing.assert_allclose(left.joints_mm - right.joints_mm, [[120.054, 0, 0]] * 21)
    np.testing.assert_allclose(left.joints_mm[1:], hand_mm(1)[1:])


def test_sk_labels_lie_in_the_depth_cameras_frame(tmp_path):
    write(tmp_path)
    sample = stb.read(tmp_path, views="SK_color")[0]
    np.testing.assert_allclose(sample.joints_mm[1:] @ ROTATION.T + TRANSLATION, hand_mm(0)[1:])


def test_the_wrist_is_found_from_the_palm_by_either_convention(tmp_path):
    write(tmp_path, views=("BB_left",))
    hand = hand_mm(2)
    palm = hand[0]
    wrists = {
        "palm": palm,
        "ring": hand[13] + 2.0 * (palm - hand[13]),
        "fingers": np.mean([hand[i] + 2.25 * (palm - hand[i]) for i in (5, 9, 13, 17)], axis=0),
    }
    for wrist, expected in wrists.items():
        sample = stb.read(tmp_path, wrist=wrist)[2]
        np.testing.assert_allclose(sample.joints_mm[0], expected)
        np.testing.assert_allclose(sample.joints_mm[1:], hand[1:])
        np.testing.assert_allclose(sample.joints_px, sample.camera.project(sample.joints_mm))
        palm_mm = stb.read(tmp_path, wrist=wrist).palm.instead_of_wrist(sample.joints_mm)
        np.testing.assert_allclose(palm_mm, hand)  # and back, for those who count palms
    np.testing.assert_allclose(stb.read(tmp_path)[2].joints_mm[0], wrists["ring"])


def test_the_split_is_that_of_the_literature(tmp_path):
    for sequence in ("B1Counting", "B1Random", "B2Random", "B6Counting"):
        write(tmp_path, sequence)
    (tmp_path / "labels" / "B7Counting_BB.mat").write_bytes(b"")  # no sequence of the release
    whole = stb.read(tmp_path)
    assert stb.recognises(tmp_path) and whole.name == "STB" and len(whole) == 4 * 3 * N
    assert whole[3 * N].name == "B1Random/BB_left_0.png" and whole[-1].name == "B6Counting/SK_color_2.png"
    names = {split: {s.name.split("/")[0] for s in map(stb.read(tmp_path, split).__getitem__, range(6 * N))}
             for split in ("train", "held_out")}  # fmt: skip
    assert names == {"train": {"B2Random", "B6Counting"}, "held_out": {"B1Counting", "B1Random"}}
    with pytest.raises(IndexError):
        whole[len(whole)]


def test_a_sequence_without_labels_is_named(tmp_path):
    for sequence in ("B1Counting", "B1Random"):
        write(tmp_path, sequence)
    for labels in (tmp_path / "labels").glob("B1Random_*"):
        labels.unlink()
    with pytest.raises(HandposeError, match="B1Random_BB.mat: missing, though its sequence has pictures"):
        stb.read(tmp_path, "held_out")
    assert not stb.recognises(tmp_path / "images"), "without labels of any sequence it is no dataset"


def test_a_download_of_one_camera_is_enough(tmp_path):
    write(tmp_path, views=("SK_color",))
    (tmp_path / "labels" / "B1Counting_BB.mat").unlink()
    assert len(stb.read(tmp_path)) == N
    with pytest.raises(HandposeError, match="B1Counting_BB.mat: missing"):
        stb.read(tmp_path, views="BB_left")
    with pytest.raises(HandposeError, match="no STB pictures of BB_left, BB_right .*--read views=all takes every"):
        stb.read(tmp_path, views="stereo")


def test_the_stereo_pair_is_as_much_of_it_as_has_pictures(tmp_path):
    write(tmp_path)
    pair = stb.read(tmp_path, views="stereo")
    assert [pair[i].name for i in (0, N)] == ["B1Counting/BB_left_0.png", "B1Counting/BB_right_0.png"]
    assert len(pair) == 2 * N and len(stb.read(tmp_path)) == 3 * N
    for picture in (tmp_path / "images" / "B1Counting").glob("BB_right_*"):
        picture.unlink()
    assert len(stb.read(tmp_path, views="stereo")) == N


def test_pictures_may_lie_beside_the_labels(tmp_path):
    write(tmp_path, images=".")
    assert len(stb.read(tmp_path)) == 3 * N


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"handPara": np.zeros((21, 3, N))}, r"handPara is \(21, 3, 3\)"),
        ({"handPara": np.zeros((3, 21))}, r"handPara is \(3, 21\)"),
        ({"other": np.zeros(3)}, "handPara"),
        ({"handPara": np.full((3, 21, N), np.nan)}, "frame 0 are finite"),
        ({"handPara": np.zeros((3, 21, N))}, "behind the camera"),
        ({"handPara": "text"}, "no MATLAB file"),
    ],
)
def test_broken_labels_are_named(tmp_path, content, words):
    write(tmp_path)
    savemat(tmp_path / "labels" / "B1Counting_BB.mat", content)
    with pytest.raises(HandposeError, match=f"B1Counting_BB.mat: .*{words}"):
        stb.read(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 100, 200])
def test_cut_label_files_are_named(tmp_path, keep):
    write(tmp_path)
    labels = tmp_path / "labels" / "B1Counting_SK.mat"
    labels.write_bytes(labels.read_bytes()[:keep])
    with pytest.raises(HandposeError, match="B1Counting_SK.mat: no MATLAB file"):
        stb.read(tmp_path)


def test_missing_and_broken_pictures_are_named(tmp_path):
    folder = write(tmp_path)
    victim = folder / "BB_right_1.png"
    cv2.imwrite(str(victim), np.zeros((240, 320, 3), np.uint8))
    with pytest.raises(HandposeError, match="BB_right_1.png: expected 640x480 pixels, found 320x240"):
        _ = stb.read(tmp_path)[N + 1].image
    victim.unlink()
    with pytest.raises(HandposeError, match="BB_right_1.png: missing"):
        stb.read(tmp_path)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    with pytest.raises(HandposeError, match="B1Counting: missing, though there are labels"):
        stb.read(tmp_path)


def test_a_folder_of_something_else_is_not_taken(tmp_path):
    (tmp_path / "labels").mkdir()
    assert not stb.recognises(tmp_path) and not stb.recognises(tmp_path / "absent")
    with pytest.raises(HandposeError, match="no STB pictures"):
        stb.read(tmp_path)
