"""Training items from photographs: labels follow every alteration, and right hands become left ones."""

import json

import cv2
import numpy as np
import pytest

from handpose.heatmap import px_from_cells
from handpose.synthesis.backgrounds import Backgrounds
from regnet import photo_crops
from regnet.augment import cut_out, random_look, random_placement, random_spread
from regnet.photo_crops import WINDOW, PhotoCrops


def dotted_set(folder, side):
    """A photo set of one picture, dark but for a bright dot at joint I3."""
    joints = np.random.default_rng(3).uniform(60, 140, (21, 2))
    image = np.full((200, 220, 3), 30, np.uint8)
    cv2.circle(image, joints[8].round().astype(int).tolist(), 4, (255, 255, 255), -1)
    joints[8] = joints[8].round()
    (folder / "images").mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "a.png"), image)
    (folder / "pseudo_labels.json").write_text(json.dumps({"a.png": [{"side": side, "joints_px": joints.tolist()}]}))
    return folder


@pytest.mark.parametrize("side", ["left", "right"])
def test_labels_stay_on_their_picture(tmp_path, side, monkeypatch):
    crops = PhotoCrops([dotted_set(tmp_path / "s", side)], None, Backgrounds())
    monkeypatch.setattr("regnet.photo_crops.random_look", lambda image, rng: image)
    monkeypatch.setattr("regnet.photo_crops.cut_out", lambda image, rng, filler: image)
    rng = np.random.default_rng(0)
    checked = mirrored = 0
    for _ in range(60):
        item = crops.item(rng)
        if not item["presence"][0]:
            continue
        x, y = px_from_cells(item["cells"][8], 128)
        if 8 < x < 120 and 8 < y < 120:
            patch = item["image"][int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4, 0]
            assert patch.max() > 150, "the bright dot is where the label says"
            checked += 1
            mirrored += not item["left"][0]
        assert item["labelled"].all()
    assert checked > 25 and mirrored > 5


def test_items_have_one_form_and_follow_the_seed(tmp_path):
    crops = PhotoCrops([dotted_set(tmp_path / "s", "left")], None, Backgrounds())
    items = [crops.item(np.random.default_rng(seed)) for seed in range(40)]
    again = crops.item(np.random.default_rng(7))
    assert all(item[key].shape == items[0][key].shape for item in items for key in items[0])
    assert all(item[key].dtype == items[0][key].dtype for item in items for key in items[0])
    for key, value in items[7].items():
        np.testing.assert_array_equal(value, again[key])
    presence = [item["presence"][0] for item in items]
    assert 0 in presence and 1 in presence
    empty = items[presence.index(0)]
    assert empty["inside"].mean() <= 0.5


def test_placement_carries_points_and_pixels_alike():
    window = np.zeros((WINDOW, WINDOW), np.uint8)
    window[100:103, 80:83] = 255
    for seed in range(30):
        placement = random_placement(np.random.default_rng(seed), WINDOW, 128)
        x, y = placement.points(np.array([81.0, 101.0]))
        if 3 < x < 124 and 3 < y < 124:
            moved = placement.warp(window, 128)
            assert moved[int(round(y)), int(round(x))] > 60
    matrices = [random_placement(np.random.default_rng(seed), WINDOW, 128, 0.0).matrix[:, :2] for seed in range(20)]
    for matrix in matrices:  # without a squeeze it is a similarity
        np.testing.assert_allclose(matrix @ matrix.T, np.linalg.det(matrix) * np.eye(2), atol=1e-9)


@pytest.mark.parametrize("seed", range(30))
def test_with_less_spread_a_placement_misses_by_so_much_less(seed):
    wide, tight = (random_placement(np.random.default_rng(seed), WINDOW, 128, 0.0, spread) for spread in (1.0, 0.3))
    assert tight.roll_rad == pytest.approx(0.3 * wide.roll_rad)
    zooms = [np.log(np.linalg.det(placement.matrix[:, :2])) for placement in (wide, tight)]
    assert zooms[1] == pytest.approx(0.3 * zooms[0])


@pytest.mark.parametrize("size", [128, 256])
def test_hands_fill_large_crops_as_they_fill_small_ones(size):
    zooms = [
        np.linalg.det(random_placement(np.random.default_rng(seed), WINDOW, size, 0.0).matrix[:, :2])
        for seed in range(200)
    ]
    assert np.exp(np.log(zooms).mean() / 2) == pytest.approx(size / 128, rel=0.03)


def test_a_squeezed_picture_teaches_no_shape(tmp_path, monkeypatch):
    crops, drawn = PhotoCrops([dotted_set(tmp_path / "s", "left")], None, Backgrounds()), []
    monkeypatch.setattr(photo_crops, "_EMPTY_SHARE", 0.0)
    place = photo_crops.random_placement
    monkeypatch.setattr(photo_crops, "random_placement", lambda *a, **k: drawn.append(place(*a, **k)) or drawn[-1])
    flat = [crops.item(np.random.default_rng(seed))["flat"] > 0 for seed in range(30)]
    assert flat == [not placement.squeezed for placement in drawn]
    assert 5 < sum(flat) < 25


def test_most_crops_are_aimed_well_and_a_few_badly():
    rng = np.random.default_rng(0)
    spreads, counts = np.unique([random_spread(rng) for _ in range(2000)], return_counts=True)
    assert spreads.tolist() == [0.3, 1.0, 2.0]
    np.testing.assert_allclose(counts / 2000, [0.6, 0.35, 0.05], atol=0.03)


def test_looks_change_pictures_but_not_their_form():
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    looks = [random_look(image, np.random.default_rng(seed)) for seed in range(60)]
    assert all(look.shape == image.shape and look.dtype == np.uint8 for look in looks)
    assert len({look.tobytes() for look in looks}) == 60
    covered = cut_out(np.zeros_like(image), np.random.default_rng(1), np.full_like(image, 255))
    assert 0 < (covered > 0).mean() < 0.3


def test_real_sets_make_items(shared_data):
    crops = PhotoCrops([shared_data / "real" / "hands_dguzk"], "held_out", Backgrounds(shared_data / "backgrounds"))
    assert crops.n_hands > 50
    item = crops.item(np.random.default_rng(0))
    assert item["image"].shape == (128, 128, 3)


def test_pieces_without_a_hand_touch_none_and_come_from_pictures_whose_hands_are_all_labelled(tmp_path):
    folder = dotted_set(tmp_path / "s", "left")
    (label,) = json.loads((folder / "pseudo_labels.json").read_text())["a.png"]
    joints = np.array(label["joints_px"]) / 3
    image = np.full((200, 220, 3), 30, np.uint8)
    hands = []
    for side, place in (("left", (0, 0)), ("right", (150, 140))):
        low, high = (joints + place).min(0).astype(int) - 14, (joints + place).max(0).astype(int) + 14
        cv2.rectangle(image, low.tolist(), high.tolist(), (255, 255, 255), -1)
        hands.append({"side": side, "joints_px": (joints + place).tolist()})
    cv2.imwrite(str(folder / "images" / "a.png"), image)
    for sides, count in (("left right", 5), ("right right", 0)):
        labelled = [hand | {"side": side} for hand, side in zip(hands, sides.split(), strict=True)]
        (folder / "pseudo_labels.json").write_text(json.dumps({"a.png": labelled}))
        pieces = PhotoCrops([folder], None, Backgrounds()).without_hand
        assert len(pieces) >= count and bool(pieces) == bool(count)
        assert all(piece.shape == (128, 128, 3) and piece.max() < 60 for piece in pieces)
