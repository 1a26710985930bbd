"""Our own labels: what is written comes back, what may be left out may be, and each line that is broken is named."""

import json
import shutil
from argparse import Namespace

import cv2
import numpy as np
import pytest

from handpose.camera import Camera
from handpose.data import json_labels, open_dataset
from handpose.data.broken import BrokenFiles
from handpose.errors import HandposeError
from handpose.kinematics import forward_kinematics
from handpose.skeleton import Skeleton
from regnet import evaluate
from regnet.dataset_crops import window_of, windows_of
from regnet.labelled import labelled_windows, open_split

CAMERA = Camera(300.0, 310.0, 101.0, 75.0, (200, 150), (0.05, 0.0, 0.0, 0.0))
DOT = 8  # I3


def hand_mm(side, x):
    return forward_kinematics(Skeleton.default(side), np.r_[x, 80, 600, np.pi, 0, 0, np.full(20, 0.15)])


def rows():
    """Two hands in 3D, one of them with a mask; a hand in 2D alone with two joints that are not labelled; a hand held out."""
    left, right = hand_mm("left", -70), hand_mm("right", 70)
    flat = CAMERA.project(hand_mm("right", 0)).tolist()
    flat[3] = None
    both = [
        {"side": "left", "joints_mm": left.tolist(), "mask": "two_mask.png"},
        {"side": "right", "joints_mm": right.tolist(), "joints_px": CAMERA.project(right).tolist()},
    ]
    return [
        {"format": "hand-track", "version": 1},
        {"image": "two.png", "camera": CAMERA.to_dict(), "hands": both},
        {"image": "one.png", "hands": [{"side": None, "joints_px": flat, "valid": [1] * 20 + [0]}]},
        {
            "image": "day/three.png",
            "held_out": True,
            "hands": [{"joints_px": CAMERA.project(left).tolist(), "score": 0.9}],
        },
    ]


def write(root, lines=None):
    lines = rows() if lines is None else lines
    (root / "day").mkdir(parents=True)
    for name, joints in (
        ("two.png", [hand_mm("left", -70), hand_mm("right", 70)]),
        ("one.png", [hand_mm("right", 0)]),
        ("day/three.png", [hand_mm("left", -70)]),
    ):
        picture = np.full((150, 200, 3), 60, np.uint8)
        for hand in joints:
            cv2.circle(picture, np.round(CAMERA.project(hand)[DOT]).astype(int).tolist(), 3, (255, 255, 255), -1)
        cv2.imwrite(str(root / name), picture)
    mask = np.zeros((150, 200), np.uint8)
    mask[:, :100] = 255
    cv2.imwrite(str(root / "two_mask.png"), mask)
    (root / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def test_what_is_written_comes_back(tmp_path):
    frames = open_dataset(write(tmp_path / "mine"))
    assert frames.name == "mine" and len(frames) == 4
    left, right, flat, three = (frames[i] for i in range(4))
    assert [sample.name for sample in (left, right, flat, three)] == [
        "two.png left", "two.png right", "one.png", "day/three.png",
    ]  # fmt: skip
    assert (left.side, right.side, flat.side, three.side) == ("left", "right", None, None)
    np.testing.assert_allclose(left.joints_mm, hand_mm("left", -70))
    assert left.camera == CAMERA and left.valid.all() and right.mask is None
    assert left.mask[:, :100].all() and not left.mask[:, 100:].any()
    assert flat.joints_mm is None and flat.camera is None
    assert np.flatnonzero(~flat.valid).tolist() == [3, 20] and np.isnan(flat.joints_px[3]).all()


def test_what_editors_leave_is_no_error(tmp_path):
    """A mark at the start, a blank line at the end, null for what is not told."""
    folder = write(tmp_path / "mine")
    lines = [row | {"hands": [hand | {"valid": None} for hand in row["hands"]]} for row in rows()[1:2]]
    text = "\n".join(map(json.dumps, lines)) + "\n\n  \n"
    (folder / "labels.jsonl").write_text("\ufeff" + text, encoding="utf-8")
    assert all(json_labels.read(folder)[i].valid.all() for i in range(2))


def test_the_projected_joint_lands_on_its_dot(tmp_path):
    frames = json_labels.read(write(tmp_path / "mine"))
    for index in range(4):
        sample = frames[index]
        column, row = np.round(sample.joints_px[DOT]).astype(int)
        assert sample.image[row, column].min() == 255 and sample.image.mean() < 70
        if sample.joints_mm is not None:
            np.testing.assert_allclose(sample.camera.project(sample.joints_mm), sample.joints_px, atol=1e-9)


def test_pictures_can_be_held_out(tmp_path):
    folder = write(tmp_path / "mine")
    train, held_out = json_labels.read(folder, "train"), json_labels.read(folder, "held_out")
    assert len(train) == 3 and len(held_out) == 1 and held_out[0].name == "day/three.png"
    (folder / "labels.jsonl").write_text(json.dumps(rows()[1]))
    with pytest.raises(HandposeError, match="no hand is labelled in it for held_out"):
        json_labels.read(folder, "held_out")


def test_what_is_held_out_is_what_is_tested(tmp_path):
    """Where nothing else is asked for and something is held out."""
    folder = write(tmp_path / "mine")
    sides = {}
    for asked in (None, "train", "all"):
        opened, side, _ = evaluate._opened(Namespace(i=folder, split=asked, read=[]))
        sides[asked] = side, len(opened.samples)
    assert sides == {None: ("held_out", 1), "train": ("train", 3), "all": (None, 4)}
    (folder / "labels.jsonl").write_text(json.dumps(rows()[1]))
    opened, side, _ = evaluate._opened(Namespace(i=folder, split=None, read=[]))
    assert (side, len(opened.samples)) == (None, 2)


def test_it_is_measured_and_trained_on(tmp_path):
    folder = write(tmp_path / "mine")
    windows, count = labelled_windows(folder, 128)
    windows = list(windows)
    assert count == len(windows) == 4 and [window.joints_mm is None for window in windows] == [False, False, True, True]
    for window in windows[:2]:  # the truth in the axes of the crop projects onto the truth in the picture
        seen = window.crop.camera.project(window.joints_mm)
        np.testing.assert_allclose(seen, window.crop.to_crop(window.joints_px), atol=1e-5)
    shown = windows_of(open_split(folder, "train"))
    assert len(shown) == 3 and shown[0].joints_rel is not None and not shown[2].has_side


def test_a_hand_is_cut_out_by_its_own_mask(tmp_path):
    lines = rows()
    lines[1]["hands"] = lines[1]["hands"][:1]
    opened = open_split(write(tmp_path / "mine", lines), "train")
    window = windows_of(opened)[0]
    assert not window.cluttered and 0.2 < (window.cut_out[..., 3] > 127).mean() < 0.8
    cv2.imwrite(str(tmp_path / "mine" / "two_mask.png"), np.full((75, 100), 255, np.uint8))
    with pytest.raises(HandposeError, match="two.png left: its mask has 100x75 pixels, but its picture has 200x150"):
        window_of(opened, 0)


def changed(row, hand=None, **fields):
    """Line `row` with other fields, of itself or of its hand number `hand`."""
    lines = rows()
    (lines[row] if hand is None else lines[row]["hands"][hand]).update(fields)
    return lines, row + 1


JOINTS = hand_mm("left", 0).tolist()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (changed(1, image="none.png"), "none.png: missing"),
        (changed(1, 0, mask="none.png"), "none.png: missing"),
        (changed(1, image=__file__), "test_json_labels.py: paths start at the folder"),
        (changed(1, 0, mask=__file__), "test_json_labels.py: paths start at the folder"),
        (changed(1, camera=None), "neither joints_px nor joints_mm with a camera"),
        (changed(1, camera={"fx": 1, "fy": 1, "cx": 0, "size_px": [9, 9]}), "no camera; expected JSON with .*'cy'"),
        (changed(1, camera={**CAMERA.to_dict(), "fx": 0}), "focal lengths and size_px must be positive"),
        (changed(1, camera={**CAMERA.to_dict(), "distortion": [-2, 0, 0, 0]}), "folds the picture over"),
        (changed(1, camera={**CAMERA.to_dict(), "distortion": [1, 2]}), "distortion 0, 4 or 5 numbers"),
        (changed(1, 0, side="both"), "side is 'both'"),
        (changed(1, 0, joints_mm=JOINTS[:20]), "expected 21 joints_mm of 3 numbers"),
        (changed(1, 1, joints_mm=[None, *JOINTS[1:]]), "valid has no joints_mm"),
        (changed(1, 0, joints_mm=(-np.array(JOINTS)).tolist()), "behind the camera"),
        (changed(2, 0, joints_px=JOINTS), "expected 21 joints_px of 2 numbers"),
        (changed(2, 0, joints_px=[["a", 1]] * 21), "could not convert"),
        (changed(2, 0, valid=[True] * 20), "valid has 20 flags"),
        (changed(2, hands=7), "not iterable"),
    ],
)
def test_broken_lines_are_named(tmp_path, broken, words):
    lines, number = broken
    with pytest.raises(HandposeError, match=rf"labels.jsonl: line {number}: .*{words}"):
        json_labels.read(write(tmp_path / "mine", lines))


def test_all_that_is_broken_is_told_at_once(tmp_path):
    folder = write(tmp_path / "mine")
    (folder / "one.png").unlink()
    with (folder / "labels.jsonl").open("a") as file:
        file.write("{torn\n[]\n" + "[" * 200_000)
    with pytest.raises(BrokenFiles) as caught:
        json_labels.read(folder)
    told = [line.partition("labels.jsonl: ")[2][:7] for line in caught.value.lines]
    assert told == ["line 3:", "line 5:", "line 6:", "line 7:"]


def test_what_stands_for_a_joint_that_is_not_valid_does_not_matter(tmp_path):
    lines = rows()
    joints = [[0, 0, 0] if i == 4 else joint for i, joint in enumerate(JOINTS)]
    lines[1]["hands"][0] |= {"joints_mm": joints, "valid": [i != 4 for i in range(21)]}
    sample = json_labels.read(write(tmp_path / "mine", lines))[0]
    assert np.flatnonzero(~sample.valid).tolist() == [4] and np.isnan(sample.joints_mm[4]).all()


def test_a_picture_of_another_size_than_its_camera_is_named(tmp_path):
    folder = write(tmp_path / "mine")
    cv2.imwrite(str(folder / "two.png"), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(HandposeError, match="two.png: expected 200x150 pixels, found 20x10"):
        _ = json_labels.read(folder)[0].image


def test_other_folders_are_not_taken(tmp_path):
    assert not json_labels.recognises(tmp_path)
    with pytest.raises(HandposeError, match="labels.jsonl: not readable as text .No such file"):
        json_labels.read(tmp_path)
    (tmp_path / "labels.jsonl").write_text('{"format": "hand-track"}\n')
    with pytest.raises(HandposeError, match="no hand is labelled in it$"):
        json_labels.read(tmp_path)


def test_a_track_file_of_pictures_is_one(tmp_path):
    """What the tracker writes of a folder's pictures, corrected by hand or not."""
    from tracker.track_file import frame_row, header, open_writer

    folder = write(tmp_path / "mine")
    writer = open_writer(folder / "labels.jsonl", header("mine", None, None, None, "default", "w"))
    camera = CAMERA.to_dict() | {"origin": "guessed"}
    row = frame_row(0, None, [], image="two.png", size_px=[200, 150], camera=camera)
    for side, x in (("left", -70), ("right", 70)):
        joints_mm = hand_mm(side, x)
        row["hands"].append(
            {"id": 1, "side": side, "joints_px": CAMERA.project(joints_mm).tolist(), "joints_mm": joints_mm.tolist()}
        )
    writer.write(row)
    writer.close()
    frames = json_labels.read(folder)
    assert len(frames) == 2 and frames[1].side == "right" and frames[1].camera == CAMERA
    np.testing.assert_allclose(frames[0].joints_mm, hand_mm("left", -70))


def test_tracks_of_mirrored_pictures_show_them_turned_back(tmp_path):
    folder = write(tmp_path / "mine")
    labels = folder / "labels.jsonl"
    as_they_are = json_labels.read(folder)
    header = {"format": "hand-track", "version": 1, "mirrored": True}
    rows = labels.read_text().splitlines()
    labels.write_text("\n".join([json.dumps(header), *(row for row in rows if "format" not in json.loads(row))]))
    for plain, turned in zip(as_they_are, json_labels.read(folder), strict=True):
        np.testing.assert_array_equal(turned.image, plain.image[:, ::-1])
        np.testing.assert_array_equal(turned.joints_px, plain.joints_px)
        if plain.mask is not None:
            np.testing.assert_array_equal(turned.mask, plain.mask[:, ::-1])


def test_real_pictures_with_their_own_joints(tmp_path, shared_data):
    annotated = shared_data / "real" / "annotated_small"
    items = json.loads((annotated / "annotations.json").read_text())["items"]
    lines = []
    for item in items:
        joints = np.array(item["joints"], float)
        hand = {"side": item.get("hand"), "joints_px": joints[:, :2].tolist(), "valid": (joints[:, 2] > 0).tolist()}
        lines.append({"image": item["file"], "hands": [hand]})
        shutil.copyfile(annotated / "images" / item["file"], tmp_path / item["file"])
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ours, theirs = json_labels.read(tmp_path), open_dataset(annotated)
    assert len(ours) == len(theirs) == len(items)
    known = {
        (sample.name, sample.side, sample.joints_px.tobytes()) for sample in (theirs[i] for i in range(len(theirs)))
    }
    for index in range(len(ours)):
        sample = ours[index]
        name = sample.name.removesuffix(f" {sample.side}")
        assert (name, sample.side, sample.joints_px.tobytes()) in known and sample.image.std() > 5
