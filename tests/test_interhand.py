"""The InterHand2.6M layout: world to camera, tip to base with the wrist last, one hand or two, joints that are not valid."""

import json
import shutil

import cv2
import numpy as np
import pytest

from handpose.data import interhand
from handpose.errors import HandposeError
from handpose.rotation import exp_so3

RNG = np.random.default_rng(0)
# The release's order within a hand, as indices into W, T0..T3, I0..I3, M0..M3, R0..R3, L0..L3.
RELEASED = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]
ROTATION, PLACE = exp_so3(np.array([0.4, -0.9, 0.2])), np.array([150.0, -80.0, -900.0])
FOCAL, CENTRE = [1261.5, 1262.5], [155.8, 258.8]
DOT = 18  # L1


def hand():
    """Joints (21, 3) in canonical order before the camera, in sight of it [mm]."""
    return RNG.uniform((-90, -120, 1000), (90, 120, 1100), (21, 3))


def world(camera_mm):
    """Carry (21, 3) into the world and the release's order."""
    return (camera_mm @ ROTATION + PLACE)[RELEASED]


def pixels(camera_mm):
    return camera_mm[:, :2] / camera_mm[:, 2:] * FOCAL + CENTRE


class Release:
    """A tiny release; `add` puts a picture with a dot on each hand's L1 into it, `write` the annotations."""

    def __init__(self, root, split="train", folder="annotations/train", size=(334, 512)):
        self.images, self.folder, self.split, self.size = root / "images" / split, root / folder, split, size
        self.data = {"images": [], "annotations": []}
        self.joints = {"3": {}}
        self.cameras = {
            "3": {
                "campos": {"400026": PLACE.tolist()}, "camrot": {"400026": ROTATION.tolist()},
                "focal": {"400026": FOCAL}, "princpt": {"400026": CENTRE},
            }
        }  # fmt: skip

    def add(self, right, left, kind, valid=None, **pose):
        number = 69148 + len(self.data["images"])
        name = f"Capture3/0390_dh_touchROM/cam400026/image{number}.jpg"
        picture = np.full((self.size[1], self.size[0], 3), 30, np.uint8)
        for side, colour in ((right, (0, 0, 255)), (left, (255, 0, 0))):
            cv2.circle(picture, np.round(pixels(side)[DOT]).astype(int).tolist(), 4, colour, -1)
        (self.images / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(self.images / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
        self.data["images"].append({
            "id": 1000 + number, "file_name": name, "width": self.size[0], "height": self.size[1],
            "capture": 3, "subject": 3, "seq_name": "0390_dh_touchROM", "camera": "400026", "frame_idx": number,
        })  # fmt: skip
        flags = np.ones(42, int) if valid is None else np.array(valid, int)
        self.data["annotations"].append({
            "id": number, "image_id": 1000 + number, "bbox": [33.5, 164.9, 185.1, 142.7],
            "joint_valid": [[int(flag)] for flag in flags], "hand_type": kind, "hand_type_valid": 1,
        })  # fmt: skip
        self.joints["3"][str(number)] = {"world_coord": np.concatenate([world(right), world(left)]).tolist(), **pose}

    def write(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("data", self.data), ("camera", self.cameras), ("joint_3d", self.joints)):
            (self.folder / f"InterHand2.6M_{self.split}_{name}.json").write_text(json.dumps(content))


def released(root, count=1, **options):
    """Write a release of interacting hands; gives the hands of the first picture."""
    release, hands = Release(root, **options), [(hand(), hand()) for _ in range(count)]
    for right, left in hands:
        release.add(right, left, "interacting")
    release.write()
    return hands[0]


def test_two_hands_are_two_samples(tmp_path):
    hands = dict(zip(("right", "left"), released(tmp_path)))
    frames = interhand.read(tmp_path)
    assert interhand.recognises(tmp_path) and len(frames) == 2
    for sample, side in ((frames[0], "right"), (frames[1], "left")):
        assert sample.side == side and sample.valid.all() and sample.mask is None
        assert sample.name == f"images/train/Capture3/0390_dh_touchROM/cam400026/image69148.jpg {side}"
        np.testing.assert_allclose(sample.joints_mm, hands[side], atol=1e-3)
        np.testing.assert_allclose(sample.joints_px, pixels(hands[side]), atol=1e-2)
        np.testing.assert_allclose(sample.camera.project(sample.joints_mm), sample.joints_px, atol=1e-9)
        assert sample.camera.size_px == (334, 512) and (sample.camera.fx, sample.camera.fy) == tuple(FOCAL)


def test_the_projected_joint_lands_on_the_dot_of_its_hand(tmp_path):
    released(tmp_path)
    frames = interhand.read(tmp_path)
    for sample, channel in ((frames[0], 0), (frames[1], 2)):  # the right hand's dot is red, the left one's blue
        column, row = np.round(sample.camera.project(sample.joints_mm)[DOT]).astype(int)
        assert sample.image[row, column].argmax() == channel and sample.image[row, column].max() > 150


def test_a_single_hand_has_only_its_own_joints(tmp_path):
    release, hands = Release(tmp_path), [hand() for _ in range(4)]
    nobody = np.zeros((21, 3)) + [0, 0, 1000]
    release.add(hands[0], nobody, "right", [1] * 21 + [0] * 21)
    release.add(nobody, hands[1], "left", [0] * 21 + [1] * 21)
    release.add(hands[2], hands[3], "interacting", [0] * 21 + [1] * 21)  # the right one cannot be told
    release.write()
    frames = interhand.read(tmp_path)
    assert [frames[i].side for i in range(len(frames))] == ["right", "left", "left"]
    assert [frames[i].sides_shown for i in range(3)] == [("right",), ("left",), ("right", "left")]
    for sample, truth in zip((frames[i] for i in range(3)), (hands[0], hands[1], hands[3])):
        np.testing.assert_allclose(sample.joints_mm, truth, atol=1e-3)


def test_an_unsure_hand_type_tells_nothing_of_the_picture(tmp_path):
    released(tmp_path)
    name = tmp_path / "annotations" / "train" / "InterHand2.6M_train_data.json"
    data = json.loads(name.read_text())
    data["annotations"][0]["hand_type_valid"] = 0
    name.write_text(json.dumps(data))
    frames = interhand.read(tmp_path)
    assert [(frames[i].side, frames[i].sides_shown) for i in range(2)] == [("right", None), ("left", None)]


def test_flags_follow_their_joints_and_both_files_have_a_say(tmp_path):
    release, right = Release(tmp_path), hand()
    in_picture, in_space = np.ones(42, int), np.ones(42, int)
    in_picture[0] = 0  # the thumb's tip
    in_space[20] = 0  # the wrist
    release.add(right, hand(), "right", in_picture, joint_valid=[[int(flag)] for flag in in_space])
    release.joints["3"]["69148"]["world_coord"][16] = [float("nan")] * 3  # the little finger's tip
    release.write()
    sample = interhand.read(tmp_path)[0]
    np.testing.assert_array_equal(np.flatnonzero(~sample.valid), [0, 4, 20])
    np.testing.assert_array_equal(sample.joints_px[[0, 4, 20]], 0)
    np.testing.assert_allclose(sample.joints_px[sample.valid], pixels(right)[sample.valid], atol=1e-2)


@pytest.mark.parametrize(
    "folder", ["annotations/train", "annotations/all", "annotations/human_annot", "annotations", "all", ""]
)
def test_both_versions_keep_their_annotations_elsewhere(tmp_path, folder):
    released(tmp_path, folder=folder)
    assert interhand.recognises(tmp_path) and len(interhand.read(tmp_path)) == 2


def test_all_annotations_win_over_a_part_of_them(tmp_path):
    released(tmp_path, 1, folder="annotations/human_annot")
    released(tmp_path, 2, folder="annotations/all")
    assert len(interhand.read(tmp_path)) == 4


def test_archives_unpack_to_a_folder_of_their_own(tmp_path):
    released(tmp_path)
    (tmp_path / "InterHand2.6M_5fps_batch1").mkdir()
    (tmp_path / "images").rename(tmp_path / "InterHand2.6M_5fps_batch1" / "images")
    assert interhand.read(tmp_path)[0].image.shape == (512, 334, 3)


def test_splits_are_kept_apart_and_one_without_pictures_is_passed_over(tmp_path):
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        released(tmp_path, count, split=split, folder=f"annotations/{split}")
    lengths = [len(interhand.read(tmp_path, split)) for split in (None, "train", "held_out", "val", "test")]
    assert lengths == [12, 6, 6, 2, 4]
    assert interhand.read(tmp_path, "val")[0].name.startswith("images/val/")
    shutil.rmtree(tmp_path / "images" / "train")
    assert len(interhand.read(tmp_path)) == 6
    with pytest.raises(HandposeError, match="no InterHand2.6M hands"):
        interhand.read(tmp_path, "train")


def test_pictures_lie_and_stand(tmp_path):
    released(tmp_path, size=(512, 334))
    sample = interhand.read(tmp_path)[0]
    assert sample.camera.size_px == (512, 334) and sample.image.shape == (334, 512, 3)
    cv2.imwrite(str(next((tmp_path / "images").rglob("*.jpg"))), np.zeros((512, 334, 3), np.uint8))
    with pytest.raises(HandposeError, match="image69148.jpg: expected 512x334 pixels, found 334x512"):
        _ = sample.image


def change(content, path, value):
    """Set or, with None, delete an entry deep in JSON content."""
    for key in path[:-1]:
        content = content[key]
    if value is None:
        del content[path[-1]]
    else:
        content[path[-1]] = value


@pytest.mark.parametrize(
    ("file", "path", "value", "words"),
    [
        ("joint_3d", ("3", "69148"), None, "no joints in it"),
        ("joint_3d", ("3", "69148", "world_coord"), [[1, 2, 3]], "not the joints of InterHand2.6M"),
        ("camera", ("3", "campos"), {}, "no camera 400026 of capture 3"),
        ("camera", ("3", "camrot", "400026"), np.ones((3, 3)).tolist(), "not rotated by a rotation"),
        ("camera", ("3", "focal"), None, "not the cameras of InterHand2.6M"),
        ("data", ("annotations", 0, "hand_type"), "both", "not the annotations of InterHand2.6M .*both"),
        ("data", ("annotations", 0, "image_id"), 5, "not the annotations of InterHand2.6M"),
        ("data", ("annotations", 0, "joint_valid"), [1] * 21, "not the annotations of InterHand2.6M"),
    ],
)
def test_broken_annotations_are_named(tmp_path, file, path, value, words):
    released(tmp_path)
    name = tmp_path / "annotations" / "train" / f"InterHand2.6M_train_{file}.json"
    content = json.loads(name.read_text())
    change(content, path, value)
    name.write_text(json.dumps(content))
    with pytest.raises(HandposeError, match=f"InterHand2.6M_train_{file}.json: .*{words}"):
        interhand.read(tmp_path)


def test_a_frame_without_joints_and_a_joint_behind_the_camera_are_named(tmp_path):
    released(tmp_path, 2)
    name = tmp_path / "annotations" / "train" / "InterHand2.6M_train_joint_3d.json"
    content = json.loads(name.read_text())
    content["3"]["69148"]["world_coord"][3] = (PLACE - 100 * ROTATION[2]).tolist()
    name.write_text(json.dumps(content))
    with pytest.raises(
        HandposeError, match="joint_3d.json: a valid joint of .*image69148.jpg is not before the camera"
    ):
        _ = interhand.read(tmp_path)[0]
    del content["3"]["69149"]
    name.write_text(json.dumps(content))
    with pytest.raises(HandposeError, match="joint_3d.json: no joints of capture 3, frame 69149"):
        interhand.read(tmp_path)


@pytest.mark.parametrize("file", ["camera", "joint_3d"])
def test_missing_files_are_named(tmp_path, file):
    released(tmp_path)
    next((tmp_path / "images").rglob("*.jpg")).unlink()
    with pytest.raises(HandposeError, match="image69148.jpg: no such file"):
        _ = interhand.read(tmp_path)[0].image
    (tmp_path / "annotations" / "train" / f"InterHand2.6M_train_{file}.json").unlink()
    with pytest.raises(HandposeError, match=f"InterHand2.6M_train_{file}.json: No such file"):
        interhand.read(tmp_path)


def test_another_folder_is_not_taken(tmp_path):
    (tmp_path / "annotations").mkdir()
    assert not interhand.recognises(tmp_path)
    with pytest.raises(HandposeError, match="no InterHand2.6M hands"):
        interhand.read(tmp_path)


def test_real_pictures_and_their_labels(tmp_path, shared_data):
    annotated = shared_data / "real" / "annotated_small"
    items = [
        item
        for item in json.loads((annotated / "annotations.json").read_text())["items"]
        if item["source"].startswith("interhand")
    ]
    if not items:
        pytest.skip("no InterHand2.6M pictures")
    data, joints, cameras = {"images": [], "annotations": []}, {}, {}
    for number, file in enumerate(dict.fromkeys(item["file"] for item in items)):
        height, width = cv2.imread(str(annotated / "images" / file)).shape[:2]
        (tmp_path / "images" / "test").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(annotated / "images" / file, tmp_path / "images" / "test" / file)
        data["images"].append(
            {
                "id": number,
                "file_name": file,
                "width": width,
                "height": height,
                "capture": number,
                "camera": "7",
                "frame_idx": 5,
            }
        )
        own = {item["hand"]: item for item in items if item["file"] == file}
        flags = [[int(side in own)] for side in ("right", "left") for _ in range(21)]
        kind = "interacting" if len(own) == 2 else next(iter(own))
        data["annotations"].append({"id": number, "image_id": number, "joint_valid": flags, "hand_type": kind})
        one = next(iter(own.values()))
        cameras[number] = {
            "campos": {"7": PLACE.tolist()},
            "camrot": {"7": ROTATION.tolist()},
            "focal": {"7": one["focal"]},
            "princpt": {"7": one["princpt"]},
        }
        placed = [
            world(np.array(own[side]["xyz_mm"])) if side in own else np.zeros((21, 3)) for side in ("right", "left")
        ]
        joints[number] = {"5": {"world_coord": np.concatenate(placed).tolist()}}
    (tmp_path / "annotations" / "test").mkdir(parents=True)
    for name, content in (("data", data), ("camera", cameras), ("joint_3d", joints)):
        (tmp_path / "annotations" / "test" / f"InterHand2.6M_test_{name}.json").write_text(json.dumps(content))
    frames = interhand.read(tmp_path)
    assert len(frames) == len(items)
    for index, item in enumerate(sorted(items, key=lambda item: [i["file"] for i in items].index(item["file"]))):
        sample = frames[index]
        assert sample.side == item["hand"] and item["file"] in sample.name and sample.image.std() > 5
        np.testing.assert_allclose(sample.joints_px, np.array(item["joints"])[:, :2], atol=0.05)
