"""The CMU hand sets: a label file beside each picture or one for the dome, both sides, joints that nobody marked."""

import json
import shutil

import cv2
import numpy as np
import pytest

from handpose.data import panoptic
from handpose.errors import HandposeError

RNG = np.random.default_rng(0)
DOT = 6  # I1


def hand(rows=21):
    """Points (rows, 3) of a picture of 200x160: x, y, 1."""
    return np.c_[RNG.uniform((20, 20), (180, 140), (rows, 2)), np.ones(rows)]


def write_picture(path, points):
    """Write a dark picture with a bright dot on I1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((160, 200, 3), 30, np.uint8)
    cv2.circle(picture, np.round(points[DOT, :2]).astype(int).tolist(), 3, (255, 255, 255), -1)
    cv2.imwrite(str(path), picture)


def write_beside(folder, name, points=None, is_left=1):
    """Write a picture of the manual or synthetic sets with its labels; returns the label file."""
    points = hand() if points is None else points
    write_picture(folder / f"{name}.jpg", points)
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"version": 1.0, "hand_pts": points.tolist(), "is_left": is_left}))
    return file


def write_dome(root, count=2):
    """Write the dome's set; returns its label file and the points."""
    folder, hands = root / "hand143_panopticdb", [hand() for _ in range(count)]
    for number, points in enumerate(hands):
        write_picture(folder / "imgs" / f"{number:08d}.jpg", points)
    entries = [
        {"img_paths": f"imgs/{i:08d}.jpg", "img_width": 200, "joint_self": h.tolist()} for i, h in enumerate(hands)
    ]
    file = folder / "hands_v143_14817.json"
    file.write_text(json.dumps({"root": entries}))
    return file, hands


def test_manual_labels_say_their_side(tmp_path):
    points = hand()
    folder = tmp_path / "hand_labels" / "manual_train"
    write_beside(folder, "000015774_01_l", points, is_left=1)
    write_beside(folder, "000015774_01_r", is_left=0)
    hands = panoptic.read(tmp_path)
    assert panoptic.recognises(tmp_path) and [hands[i].side for i in range(len(hands))] == ["left", "right"]
    sample = hands[0]
    assert sample.name == "hand_labels/manual_train/000015774_01_l.jpg"
    np.testing.assert_allclose(sample.joints_px, points[:, :2])
    assert sample.valid.all() and sample.joints_mm is None and sample.camera is None and sample.mask is None


def test_joints_land_on_the_dots_of_all_three_sets(tmp_path):
    write_beside(tmp_path / "hand_labels" / "manual_test", "ex2_2.flv_000040_l")
    write_beside(tmp_path / "hand_labels_synth" / "synth3", "0001")
    write_dome(tmp_path, 1)
    hands = panoptic.read(tmp_path)
    assert [hands[i].name.split("/")[-2] for i in range(len(hands))] == ["manual_test", "synth3", "imgs"]
    for sample in (hands[i] for i in range(3)):
        column, row = np.round(sample.joints_px[DOT]).astype(int)
        assert sample.image[row, column].min() > 220
        assert sample.image[0, 0].max() < 60


def test_joints_that_nobody_marked_are_not_valid(tmp_path):
    points = hand()
    points[[0, 20], 2] = 0
    points[20, :2] = np.nan
    write_beside(tmp_path / "hand_labels" / "manual_train", "a", points)
    file, _ = write_dome(tmp_path)
    content = json.loads(file.read_text())
    content["root"][1]["joint_self"][3] = [0, 0, 0]
    file.write_text(json.dumps(content))
    hands = panoptic.read(tmp_path)
    np.testing.assert_array_equal(np.flatnonzero(~hands[0].valid), [0, 20])
    assert np.isfinite(hands[0].joints_px).all()
    np.testing.assert_array_equal(np.flatnonzero(~hands[2].valid), [3])


def test_the_dome_has_right_hands_and_names_its_pictures(tmp_path):
    file, truth = write_dome(tmp_path, 3)
    content = json.loads(file.read_text())
    content["root"] = content["root"][::-1]
    file.write_text(json.dumps(content))
    hands = panoptic.read(tmp_path)
    assert len(hands) == 3
    for sample, number in zip((hands[i] for i in range(3)), (2, 1, 0)):
        assert sample.side == "right" and sample.name.endswith(f"imgs/{number:08d}.jpg")
        np.testing.assert_allclose(sample.joints_px, truth[number][:, :2])


def test_synthetic_labels_may_have_more_points_or_none(tmp_path):
    folder, many = tmp_path / "hand_labels_synth" / "synth1", hand(25)
    write_beside(folder, "0001", many)
    write_beside(folder, "0002", hand(20))
    no_list = write_beside(folder, "0003")
    no_list.write_text(json.dumps({"hand_pts": {"_ArrayType_": "double"}, "is_left": 0}))
    nothing = hand()
    nothing[:, 2] = 0
    write_beside(folder, "0004", nothing)
    hands = panoptic.read(tmp_path)
    assert len(hands) == 1 and [file.name for file in hands.left_out] == ["0002.jpg", "0003.jpg", "0004.jpg"]
    np.testing.assert_allclose(hands[0].joints_px, many[:21, :2])


def test_each_set_is_read_by_itself(tmp_path):
    write_beside(tmp_path / "hand_labels" / "manual_train", "a")
    write_beside(tmp_path / "hand_labels_synth" / "synth4", "b")
    write_dome(tmp_path)
    for name, count in (("hand_labels", 1), ("hand_labels_synth", 1), ("hand143_panopticdb", 2)):
        assert panoptic.recognises(tmp_path / name) and len(panoptic.read(tmp_path / name)) == count


def test_test_pictures_can_be_kept_out_of_training(tmp_path):
    for name in ("manual_train", "manual_test"):
        write_beside(tmp_path / "hand_labels" / name, name)
    write_beside(tmp_path / "hand_labels_synth" / "synth2", "0001")
    write_dome(tmp_path)
    assert [len(panoptic.read(tmp_path, split)) for split in (None, "train", "held_out")] == [5, 4, 1]
    assert panoptic.read(tmp_path, "held_out")[0].name.endswith("manual_test.jpg")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not readable as JSON"),
        (json.dumps({"hand_pts": [[1, 2, 1]] * 20, "is_left": 0}), "expected 21 joints of three numbers"),
        (json.dumps({"hand_pts": [[1, float("nan"), 1]] * 21, "is_left": 0}), "not a finite number"),
        (json.dumps({"hand_pts": [["a", "b", 1]] * 21, "is_left": 0}), "not the labels of a hand"),
        (json.dumps({"hand_pts": [[1, 2, 1]] * 21}), "is_left"),
        ("[]", "not the labels of a hand"),
    ],
)
def test_broken_labels_are_named(tmp_path, content, words):
    write_beside(tmp_path / "hand_labels" / "manual_train", "a").write_text(content)
    with pytest.raises(HandposeError, match=f"a.json: .*{words}"):
        panoptic.read(tmp_path)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"roots": []}, "not the labels of the dome's hands"),
        ({"root": [{"img_paths": "imgs/00000000.jpg", "joint_self": [[1, 2, 1]]}]}, "hand 0: expected 21 joints"),
        ({"root": [{"joint_self": []}]}, "img_paths"),
    ],
)
def test_broken_labels_of_the_dome_are_named(tmp_path, entries, words):
    write_dome(tmp_path)[0].write_text(json.dumps(entries))
    with pytest.raises(HandposeError, match=f"hands_v143_14817.json: .*{words}"):
        panoptic.read(tmp_path)


def test_missing_and_broken_pictures_are_named(tmp_path):
    picture = write_beside(tmp_path / "hand_labels" / "manual_train", "a").with_suffix(".jpg")
    picture.write_bytes(b"no picture")
    with pytest.raises(HandposeError, match="a.jpg: not a readable picture"):
        _ = panoptic.read(tmp_path)[0].image
    picture.unlink()
    with pytest.raises(HandposeError, match="a.jpg: labelled, but the picture is missing"):
        panoptic.read(tmp_path)
    labels = write_beside(tmp_path / "hand_labels" / "manual_train", "a")
    write_beside(tmp_path / "hand_labels" / "manual_train", "b")
    labels.unlink()
    with pytest.raises(HandposeError, match="a.json: No such file"):
        panoptic.read(tmp_path)
    dome = tmp_path / "other"
    write_dome(dome)
    (dome / "hand143_panopticdb" / "imgs" / "00000001.jpg").unlink()
    with pytest.raises(HandposeError, match="00000001.jpg: labelled, but the picture is missing"):
        panoptic.read(dome)


def test_another_folder_is_not_taken(tmp_path):
    (tmp_path / "hand_labels" / "manual_train").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    assert not panoptic.recognises(tmp_path)
    with pytest.raises(HandposeError, match="no CMU hands"):
        panoptic.read(tmp_path)


def test_real_pictures_and_their_labels(tmp_path, shared_data):
    annotated = shared_data / "real" / "annotated_small"
    items = [
        item
        for item in json.loads((annotated / "annotations.json").read_text())["items"]
        if item["source"].startswith("panoptic")
    ]
    if not items:
        pytest.skip("no CMU pictures")
    folder = tmp_path / "hand_labels" / "manual_test"
    folder.mkdir(parents=True)
    truth = {}
    for item in items:
        name = item["file"].removeprefix("panoptic__")
        shutil.copyfile(annotated / "images" / item["file"], folder / name)
        labels = {"hand_pts": item["joints"], "is_left": int(name.endswith("_l.jpg"))}
        (folder / name).with_suffix(".json").write_text(json.dumps(labels))
        truth[name] = (np.array(item["joints"])[:, :2], "left" if labels["is_left"] else "right")
    hands = panoptic.read(tmp_path)
    assert len(hands) == len(items)
    for sample in (hands[i] for i in range(len(hands))):
        joints_px, side = truth[sample.name.split("/")[-1]]
        np.testing.assert_allclose(sample.joints_px, joints_px)
        assert sample.side == side
        height, width = sample.image.shape[:2]
        assert (joints_px >= 0).all() and (joints_px < (width, height)).all()
