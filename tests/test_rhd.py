"""The RHD layout: two hands a picture, fingers from tip to palm, metres, visibility, part masks, and every broken file named."""

import pickle

import cv2
import numpy as np
import pytest

from handpose.data import rhd
from handpose.errors import HandposeError
from handpose.skeleton import JOINT_NAMES, Skeleton

K = np.array([[282.9, 0, 160], [0, 283.2, 161], [0, 0, 1.0]], np.float32)
# Canonical joint i is row SOURCE[i] of a hand in the release.
SOURCE = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
DOT = 8  # I3, the tip of the index finger


def hand_m(side):
    """Joints of a hand before the camera, canonical order [m]."""
    joints = Skeleton.default(side).rest_joints_mm * (1, -1, -1) + (-90 if side == "left" else 90, 80, 500)
    return joints / 1000


def labels(visible_left=21, visible_right=12):
    """One picture's labels, as the release has them: left hand first."""
    xyz = np.empty((2, 21, 3), np.float32)
    xyz[:, SOURCE] = [hand_m("left"), hand_m("right")]
    visible = np.zeros((2, 21))
    visible[0, :visible_left] = visible[1, :visible_right] = 1
    pixels = np.einsum("ij,hnj->hni", K, xyz)
    uv_vis = np.concatenate([pixels[..., :2] / pixels[..., 2:], visible[..., None]], axis=-1)
    return {"xyz": xyz.reshape(42, 3), "uv_vis": uv_vis.reshape(42, 3), "K": K}


def write(root, content, name="training", masks=True, right_covers=0.3):
    """Write one set whose pictures show a white dot at the index fingertip of the left hand, and part masks.

    right_covers: the right hand's share of a mask, the left one's being 0.4; of all pictures, or by their numbers.
    """
    folder = root / name
    for kind in ("color", "mask"):
        (folder / kind).mkdir(parents=True)
    (folder / f"anno_{name}.pickle").write_bytes(pickle.dumps(content, 2))
    tip = K @ hand_m("left")[DOT]
    column, row = np.round(tip[:2] / tip[2]).astype(int)
    for number in content:
        picture = np.zeros((320, 320, 3), np.uint8)
        picture[row, column] = 255
        cv2.imwrite(str(folder / "color" / f"{number:05d}.png"), picture)
        right = right_covers[number] if isinstance(right_covers, dict) else right_covers
        parts = np.resize(np.arange(2, dtype=np.uint8), (320, 320))
        parts[:128] = np.resize(np.arange(2, 18), (128, 320))
        parts[320 - int(320 * right) :] = np.resize(np.arange(18, 34), (int(320 * right), 320))
        if masks:
            cv2.imwrite(str(folder / "mask" / f"{number:05d}.png"), parts)
    return folder


def test_joints_come_in_canonical_order_in_millimetres(tmp_path):
    write(tmp_path, {0: labels()})
    left, right = (rhd.read(tmp_path, hands="all")[i] for i in (0, 1))
    for sample, side in ((left, "left"), (right, "right")):
        np.testing.assert_allclose(sample.joints_mm, 1000 * hand_m(side), atol=1e-3)
        np.testing.assert_allclose(sample.joints_px, sample.camera.project(sample.joints_mm), atol=1e-3)
        assert (sample.side, sample.name) == (side, f"training/00000 {side}")
    assert left.camera.fx == pytest.approx(282.9) and left.camera.size_px == (320, 320)


def test_a_dot_drawn_at_a_joint_lies_under_it(tmp_path):
    write(tmp_path, {0: labels()})
    sample = rhd.read(tmp_path)[0]
    row, column = np.argwhere(sample.image[..., 0] == 255)[0]
    np.testing.assert_allclose(sample.joints_px[JOINT_NAMES.index("I3")], (column, row), atol=0.5)


def test_invisible_joints_keep_their_labels_but_are_not_valid(tmp_path):
    content = labels(visible_left=21, visible_right=0)
    content["uv_vis"][2, 2] = 0  # row 2 is the joint before the thumb's tip: T2
    write(tmp_path, {0: content})
    sample = rhd.read(tmp_path)[0]
    assert [JOINT_NAMES[i] for i in np.flatnonzero(~sample.valid)] == ["T2"]
    np.testing.assert_allclose(sample.joints_mm, 1000 * hand_m("left"), atol=1e-3)


CROWD = {0: labels(21, 5), 3: labels(5, 6), 7: labels(9, 9), 8: labels(1, 0), 9: labels(7, 1)}


def chosen_sides(dataset):
    return [dataset[i].name.removeprefix("training/") for i in range(len(dataset))]


def test_the_dominant_hand_covers_more_of_the_mask(tmp_path):
    write(tmp_path, CROWD, right_covers={0: 0.5, 3: 0.3, 7: 0.4, 8: 0.1, 9: 0.5})
    sides = ["00000 right", "00003 left", "00007 right", "00009 left"]  # of 9 the right one is as good as hidden
    assert chosen_sides(rhd.read(tmp_path)) == sides
    assert len(rhd.read(tmp_path, hands="all")) == 7  # not a hand of which one joint is visible, or none


def test_without_masks_the_dominant_hand_has_more_visible_joints(tmp_path):
    folder = write(tmp_path, CROWD, masks=False)
    (folder / "mask").rmdir()
    assert chosen_sides(rhd.read(tmp_path)) == ["00000 left", "00003 right", "00007 right", "00009 left"]


def test_the_mask_is_that_of_the_hand(tmp_path):
    write(tmp_path, {0: labels()})
    left, right = (rhd.read(tmp_path, hands="all")[i] for i in (0, 1))
    parts = cv2.imread(str(tmp_path / "training" / "mask" / "00000.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(left.mask, np.where((parts > 1) & (parts < 18), 255, 0))
    np.testing.assert_array_equal(right.mask, np.where(parts > 17, 255, 0))
    assert left.mask.dtype == np.uint8


def test_the_palm_takes_the_place_of_the_wrist(tmp_path):
    content = labels()
    content["uv_vis"][0, 2] = 0  # the wrist is hidden, M0 is not
    write(tmp_path, {0: content})
    plain, palm = rhd.read(tmp_path)[0], rhd.read(tmp_path, palm=True)[0]
    np.testing.assert_allclose(palm.joints_mm[0], (plain.joints_mm[0] + plain.joints_mm[9]) / 2)
    np.testing.assert_allclose(palm.joints_px[0], palm.camera.project(palm.joints_mm[0]))
    np.testing.assert_array_equal(palm.joints_mm[1:], plain.joints_mm[1:])
    assert palm.valid[0] and not plain.valid[0]
    np.testing.assert_allclose(rhd.read(tmp_path).palm.instead_of_wrist(plain.joints_mm), palm.joints_mm)
    np.testing.assert_allclose(rhd.read(tmp_path, palm=True).palm.instead_of_wrist(palm.joints_mm), palm.joints_mm)


def test_both_sets_are_found_and_told_apart(tmp_path):
    write(tmp_path, {0: labels()})
    write(tmp_path, {0: labels(), 1: labels()}, "evaluation", masks=False)
    (tmp_path / "evaluation" / "mask").rmdir()
    whole = rhd.read(tmp_path)
    assert rhd.recognises(tmp_path) and len(whole) == 3 and whole.name == "RHD"
    assert [whole[i].name.split("/")[0] for i in range(3)] == ["training", "evaluation", "evaluation"]
    assert whole[0].mask is not None and whole[2].mask is None
    assert (len(rhd.read(tmp_path, "train")), len(rhd.read(tmp_path, "held_out"))) == (1, 2)
    alone = tmp_path / "evaluation"
    assert rhd.recognises(alone) and len(rhd.read(alone)) == 2


def spoilt(key, value):
    content = labels()
    content[key] = value
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "expected a dict"),
        ({0: labels(), 1: 5}, "picture 1: no xyz"),
        ({0: {"xyz": np.zeros((42, 3))}}, "picture 0: no uv_vis"),
        ({0: spoilt("xyz", np.zeros((21, 3)))}, r"xyz is \(21, 3\)"),
        ({0: spoilt("K", -K)}, "focal length"),
        ({0: spoilt("K", "text")}, "picture 0: not as expected"),
        ({0: spoilt("uv_vis", np.full((42, 3), np.nan))}, "not all numbers of uv_vis are finite"),
        ({0: spoilt("xyz", -labels()["xyz"])}, "left hand lies behind the camera"),
        ({}, "expected a dict"),
        ({"first": labels()}, "picture first"),
    ],
)
def test_broken_labels_are_named(tmp_path, content, words):
    folder = write(tmp_path, {0: labels()})
    (folder / "anno_training.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(HandposeError, match=f"anno_training.pickle: .*{words}"):
        rhd.read(tmp_path)


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    folder = write(tmp_path, {0: labels()})
    (folder / "anno_training.pickle").write_bytes(b"cos\nsystem\n(Vtrue\ntR.")
    with pytest.raises(HandposeError, match=r"anno_training.pickle: .*os\.system"):
        rhd.read(tmp_path)


@pytest.mark.parametrize("kind", ["color", "mask"])
def test_missing_and_broken_pictures_are_named(tmp_path, kind):
    folder = write(tmp_path, {0: labels(), 1: labels()})
    victim = folder / kind / "00001.png"
    victim.write_bytes(victim.read_bytes()[:60])
    sample = rhd.read(tmp_path, hands="all")[2]
    if kind == "mask":  # it decides which hand is taken
        with pytest.raises(HandposeError, match="mask/00001.png"):
            _ = rhd.read(tmp_path)[1]
    with pytest.raises(HandposeError, match=f"{kind}/00001.png"):
        _ = sample.image if kind == "color" else sample.mask
    cv2.imwrite(str(victim), np.zeros((240, 320), np.uint8))
    with pytest.raises(HandposeError, match=f"{kind}/00001.png: expected 320x320 pixels, found 320x240"):
        _ = sample.image if kind == "color" else sample.mask
    victim.unlink()
    with pytest.raises(HandposeError, match=f"{kind}/00001.png: missing"):
        rhd.read(tmp_path)


def test_a_folder_of_something_else_is_not_taken(tmp_path):
    (tmp_path / "training").mkdir()
    assert not rhd.recognises(tmp_path) and not rhd.recognises(tmp_path / "absent")
    with pytest.raises(HandposeError, match="no RHD set"):
        rhd.read(tmp_path)
