"""The FreiHAND layout: metres, right hands, labels shared by four pictures, an evaluation set with and without labels."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from handpose.camera import Camera
from handpose.data import freihand
from handpose.errors import HandposeError

RNG = np.random.default_rng(0)
MATRIX = np.array([[480.0, 0, 110], [0, 482, 114], [0, 0, 1]])
DOT = 7  # I2


def hands(count):
    """Joints (count, 21, 3) in metres, in sight."""
    return RNG.uniform((-0.08, -0.08, 0.6), (0.08, 0.08, 0.7), (count, 21, 3))


def pixels(xyz, matrix=MATRIX):
    """Project as the release's own code does."""
    uvw = xyz @ matrix.T
    return uvw[:, :2] / uvw[:, 2:]


def write_set(root, name="training", samples=3, times=4, labels=True):
    """Write a set whose pictures have a bright dot on I2; returns the joints in metres."""
    xyz = hands(samples)
    matrices = [(MATRIX + np.diag([i, i, 0])).tolist() for i in range(samples)]
    (root / name / "rgb").mkdir(parents=True)
    for number in range(samples * times):
        picture = np.full((224, 224, 3), 20 + 10 * (number // samples), np.uint8)
        dot = pixels(xyz[number % samples], np.array(matrices[number % samples]))[DOT]
        cv2.circle(picture, np.round(dot).astype(int).tolist(), 3, (255, 255, 255), -1)
        cv2.imwrite(str(root / name / "rgb" / f"{number:08d}.jpg"), picture)
    if name == "training":
        (root / name / "mask").mkdir()
        for number in range(samples):
            mask = np.zeros((224, 224), np.uint8)
            mask[: 50 * (number + 1)] = 255
            cv2.imwrite(str(root / name / "mask" / f"{number:08d}.jpg"), mask)
    (root / f"{name}_K.json").write_text(json.dumps(matrices))
    (root / f"{name}_scale.json").write_text(json.dumps([0.03] * samples))
    if labels:
        (root / f"{name}_xyz.json").write_text(json.dumps(xyz.tolist()))
    return xyz


def test_four_pictures_share_their_labels_and_their_mask(tmp_path):
    xyz = write_set(tmp_path)
    frames = freihand.read(tmp_path)
    assert freihand.recognises(tmp_path) and len(frames) == 12
    for number in range(12):
        sample = frames[number]
        assert sample.name == f"training/rgb/{number:08d}.jpg" and sample.side == "right"
        assert abs(int(sample.image[0, 0, 0]) - (20 + 10 * (number // 3))) < 4
        np.testing.assert_allclose(sample.joints_mm, 1000 * xyz[number % 3])
        assert (sample.mask[:, 0] > 0).sum() == 50 * (number % 3 + 1) and set(np.unique(sample.mask)) == {0, 255}
    assert frames[11].valid.all() and frames[-1].name == frames[11].name
    with pytest.raises(IndexError):
        _ = frames[12]


def test_each_picture_has_its_own_camera_and_the_joint_lands_on_its_dot(tmp_path):
    xyz = write_set(tmp_path)
    frames = freihand.read(tmp_path)
    assert frames[5].camera == Camera(482, 484, 110, 114, (224, 224))
    for number in (0, 5, 10):
        sample = frames[number]
        np.testing.assert_allclose(sample.joints_px, sample.camera.project(sample.joints_mm))
        column, row = np.round(sample.joints_px[DOT]).astype(int)
        assert sample.image[row, column].min() > 220
        np.testing.assert_allclose(sample.joints_px, pixels(xyz[number % 3], sample.camera.matrix))


def test_only_the_green_screen_pictures_may_be_there(tmp_path):
    write_set(tmp_path, times=1)
    assert len(freihand.read(tmp_path)) == 3


def test_the_evaluation_set_has_labels_or_none(tmp_path):
    write_set(tmp_path / "first", "evaluation", 2, 1, labels=False)
    sample = freihand.read(tmp_path / "first")[1]
    assert sample.joints_mm is None and not sample.valid.any() and sample.joints_px.shape == (21, 2)
    assert sample.camera.fx == 481 and sample.mask is None
    xyz = write_set(tmp_path / "later", "evaluation", 2, 1)
    sample = freihand.read(tmp_path / "later")[1]
    np.testing.assert_allclose(sample.joints_mm, 1000 * xyz[1])
    assert sample.valid.all()


def test_evaluation_pictures_can_be_kept_out_of_training(tmp_path):
    write_set(tmp_path)
    write_set(tmp_path, "evaluation", 2, 1)
    both, train, held_out = (freihand.read(tmp_path, split) for split in (None, "train", "held_out"))
    assert (len(both), len(train), len(held_out)) == (14, 12, 2)
    assert both[12].name == held_out[0].name == "evaluation/rgb/00000000.jpg"
    np.testing.assert_array_equal(both[12].joints_mm, held_out[0].joints_mm)
    assert all(train[i].name.startswith("training/") for i in range(len(train)))


def broken(values, where, what):
    changed = json.loads(json.dumps(values.tolist()))
    changed[where[0]][where[1]][where[2]] = what
    return json.dumps(changed)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("training_xyz.json", "[[1, 2", "not readable as JSON"),
        ("training_xyz.json", "[[[1, 2], [3]]]", "not a list of"),
        ("training_xyz.json", json.dumps(np.ones((3, 20, 3)).tolist()), "expected N x 21 x 3 numbers"),
        ("training_xyz.json", json.dumps(np.ones((2, 21, 3)).tolist()), "2 hands, but 3 cameras"),
        ("training_xyz.json", broken(np.ones((3, 21, 3)), (1, 4, 0), float("nan")), "not all numbers of sample 1"),
        ("training_xyz.json", broken(np.ones((3, 21, 3)), (2, 4, 2), -0.1), "of sample 2 lies behind the camera"),
        ("training_xyz.json", None, "No such file"),
        ("training_K.json", "[]", "expected N x 3 x 3 numbers"),
        ("training_K.json", json.dumps(np.zeros((3, 3, 3)).tolist()), "a focal length is not positive"),
    ],
)
def test_broken_labels_are_named(tmp_path, name, content, words):
    write_set(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(HandposeError, match=f"{name}: .*{words}"):
        freihand.read(tmp_path)


@pytest.mark.parametrize("file", ["rgb/00000004.jpg", "rgb/00000000.jpg", "mask/00000001.jpg"])
def test_missing_pictures_are_named(tmp_path, file):
    write_set(tmp_path)
    (tmp_path / "training" / file).unlink()
    with pytest.raises(HandposeError, match=f"training/{file}: missing"):
        freihand.read(tmp_path)


def test_more_pictures_than_labels_are_told(tmp_path):
    write_set(tmp_path, times=5)
    with pytest.raises(HandposeError, match="rgb: 15 pictures, but labels of 3 samples; expected 4"):
        freihand.read(tmp_path)


def test_pictures_of_another_size_are_named(tmp_path):
    write_set(tmp_path)
    cv2.imwrite(str(tmp_path / "training" / "rgb" / "00000002.jpg"), np.zeros((100, 200, 3), np.uint8))
    with pytest.raises(HandposeError, match="00000002.jpg: expected 224x224 pixels, found 200x100"):
        _ = freihand.read(tmp_path)[2].image


def test_another_folder_is_not_taken(tmp_path):
    (tmp_path / "training").mkdir()
    assert not freihand.recognises(tmp_path)
    with pytest.raises(HandposeError, match="no FreiHAND set"):
        freihand.read(tmp_path)


def test_real_evaluation_pictures_are_read(tmp_path, shared_data):
    real = shared_data / "real" / "freihand_eval20"
    pictures = sorted((real / "images").glob("*_img.jpg"), key=lambda file: int(re.match(r"\d+", file.name)[0]))
    if not pictures:
        pytest.skip("no FreiHAND evaluation pictures")
    labels = json.loads((real / "pseudo_labels.json").read_text())
    (tmp_path / "evaluation" / "rgb").mkdir(parents=True)
    matrices = [np.load(real / picture.name.replace("_img.jpg", "_K.npy")) for picture in pictures]
    for number, picture in enumerate(pictures):
        shutil.copyfile(picture, tmp_path / "evaluation" / "rgb" / f"{number:08d}.jpg")
    (tmp_path / "evaluation_K.json").write_text(json.dumps([matrix.tolist() for matrix in matrices]))
    frames = freihand.read(tmp_path)
    assert len(frames) == len(pictures)
    for number, matrix in enumerate(matrices):
        sample = frames[number]
        assert sample.image.shape == (224, 224, 3) and sample.image.std() > 5
        np.testing.assert_allclose(sample.camera.matrix, matrix)
        assert (
            0 < sample.camera.cx < 224 and 0 < sample.camera.cy < 224
        )  # pictures are cut out of larger ones: not central
    found = [hand["side"] for hands_of_one in labels.values() for hand in hands_of_one]
    assert found.count("right") > 0.7 * len(found)  # the side that the reader states is what another tracker sees


def test_real_training_pictures_share_labels_as_stated(tmp_path, shared_data):
    annotated = shared_data / "real" / "annotated_small"
    items = [
        item
        for item in json.loads((annotated / "annotations.json").read_text())["items"]
        if item["source"] == "freihand"
    ]
    by_number = {int(re.search(r"(\d{8})", item["file"])[1]): item for item in items}
    uniques = sorted(number for number in by_number if number < 32560)
    if len(uniques) < 2:
        pytest.skip("no FreiHAND training pictures")
    camera = Camera(480, 480, 112, 112, (224, 224))
    (tmp_path / "training" / "rgb").mkdir(parents=True)
    xyz = []
    for place, number in enumerate(uniques):
        xyz.append(camera.unproject(np.array(by_number[number]["joints"])[:, :2], np.full(21, 0.6)).tolist())
        for times in range(4):
            file = annotated / "images" / by_number[number + 32560 * times]["file"]
            shutil.copyfile(file, tmp_path / "training" / "rgb" / f"{place + len(uniques) * times:08d}.jpg")
    (tmp_path / "training_K.json").write_text(json.dumps([camera.matrix.tolist()] * len(uniques)))
    (tmp_path / "training_xyz.json").write_text(json.dumps(xyz))
    frames = freihand.read(tmp_path)
    assert len(frames) == 4 * len(uniques)
    for number in range(len(frames)):
        item = by_number[uniques[number % len(uniques)] + 32560 * (number // len(uniques))]
        np.testing.assert_allclose(frames[number].joints_px, np.array(item["joints"])[:, :2], atol=1e-6)
        assert frames[number].image.shape == (224, 224, 3)
