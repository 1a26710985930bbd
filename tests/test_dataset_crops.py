"""Training items from any dataset: 3D labels follow the placement, right hands are mirrored, what is missing weighs nothing."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handpose.camera import Camera
from handpose.crop import CROP_SIZE, MARGIN, Crop
from handpose.data import ganerated, synth_hands
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.heatmap import px_from_cells
from handpose.kinematics import forward_kinematics
from handpose.skeleton import M0, TIPS, WRIST, Skeleton
from handpose.synthesis.backgrounds import Backgrounds
from regnet import dataset_crops
from regnet.augment import random_placement
from regnet.batches import BatchMaker, StreamConfig
from regnet.dataset_crops import WINDOW, OnDemand, cut_window, placed_joints
from regnet.items import RIGHT_SIDE_WEIGHT, RIGHT_WEIGHT, training_item
from regnet.labelled import open_split
from regnet.photo_crops import PhotoCrops
from regnet.progress import HeldOut

DOT = 8  # the tip of the index finger


def hand_mm(seed, depth_mm=500.0):
    rng = np.random.default_rng(seed)
    vector = np.r_[rng.uniform(-60, 60, 2), depth_mm, rng.normal(0, 0.8, 3), rng.uniform(0, 0.5, 20)]
    return forward_kinematics(Skeleton.default("left"), vector)


def dotted(camera, joints_mm, ground=(60, 60, 60)):
    """A plain picture with a white dot at one joint."""
    width, height = camera.size_px
    image = np.full((height, width, 3), ground, np.uint8)
    place = np.round(camera.project(joints_mm)[DOT]).astype(int).tolist()
    return cv2.circle(image, place, 5, (255, 255, 255), -1)


def write_synth_hands(root, n=4, depth_mm=500.0):
    """Hands on green in the layout of SynthHands."""
    for i in range(n):
        joints = hand_mm(i, depth_mm)
        alpha = np.zeros((480, 640), np.uint8)
        hull = cv2.convexHull(synth_hands.COLOUR_CAMERA.project(joints).round().astype(np.int32))
        cv2.fillConvexPoly(alpha, hull, 255)
        alpha = cv2.dilate(alpha, np.ones((15, 15), np.uint8))
        colour = dotted(synth_hands.COLOUR_CAMERA, joints)
        colour[alpha == 0] = synth_hands.CHROMA
        nothing = np.zeros((480, 640))
        in_depth = joints - synth_hands.COLOUR_FROM_DEPTH_MM
        synth_hands.write(synth_hands.frame_path(root, i), colour, alpha, colour, nothing, in_depth)
    return root


def write_ganerated(root, n=4):
    """Hands in the layout of GANerated, cut out of the 640x480 picture."""
    for i in range(n):
        joints = hand_mm(i)
        low, high = (op(synth_hands.COLOUR_CAMERA.project(joints), axis=0) for op in (np.min, np.max))
        side = 1.3 * (high - low).max()
        corner, scale = tuple((low + high) / 2 - side / 2), 256 / side
        image = dotted(ganerated.crop_camera(corner, scale), joints)
        ganerated.write(ganerated.frame_path(root, i), image, np.zeros((256, 256), np.uint8), joints, corner, scale)
    return root


WRITERS = {"synth_hands": write_synth_hands, "ganerated": write_ganerated}


def write_freihand(root, evaluation_labels=True):
    """Three right hands to train on and two to evaluate on, in the layout of FreiHAND."""
    for name, n in (("training", 3), ("evaluation", 2)):
        camera = Camera(280.0, 280.0, 112.0, 112.0, (224, 224))
        joints = [hand_mm(i, 600.0) * (-1, 1, 1) for i in range(n)]
        (root / name / "rgb").mkdir(parents=True)
        for i in range(n):
            cv2.imwrite(str(root / name / "rgb" / f"{i:08d}.jpg"), dotted(camera, joints[i])[..., ::-1])
        (root / f"{name}_K.json").write_text(json.dumps([camera.matrix.tolist()] * n))
        if name == "training" or evaluation_labels:
            (root / f"{name}_xyz.json").write_text(json.dumps([(0.001 * hand).tolist() for hand in joints]))
    return root


@pytest.fixture
def plain(monkeypatch):
    """Items without any change of colours, and none covered."""
    monkeypatch.setattr("regnet.photo_crops.random_look", lambda image, rng: image)
    monkeypatch.setattr("regnet.photo_crops.cut_out", lambda image, rng, filler: image)


def hands(crops, n, seed=0):
    """Items that show a hand, now and then a mirrored one."""
    items = (crops.item(np.random.default_rng((seed, i))) for i in range(n))
    return [item for item in items if item["labelled"].any() and item["presence"][0]]


@pytest.mark.parametrize("kind", WRITERS)
def test_labels_stay_on_their_pictures(tmp_path, kind, plain):
    crops = PhotoCrops([WRITERS[kind](tmp_path)], "train", Backgrounds())
    checked = 0
    for item in hands(crops, 60):
        x, y = px_from_cells(item["cells"][DOT], 128).round().astype(int)
        if 4 < x < 123 and 4 < y < 123:
            assert item["image"][y - 1 : y + 2, x - 1 : x + 2].min(-1).max() > 150
            checked += 1
        assert item["known_3d"].all() and not item["flat"] and item["has_left"][0]
    assert checked > 15


def test_3d_targets_project_onto_the_cells_of_their_item(tmp_path):
    """Hands 4 m away are seen as if from infinity: x and y of 3D are the cells, moved and scaled, but not turned nor squeezed."""
    crops = PhotoCrops([write_synth_hands(tmp_path, depth_mm=4000.0)], "train", Backgrounds())
    items = hands(crops, 40)
    for item in items:
        rel, cells = item["joints_rel"].astype(float), item["cells"].astype(float)
        np.testing.assert_allclose(rel[M0], 0)
        assert np.linalg.norm(rel[WRIST]) == pytest.approx(1, abs=1e-6)
        plane, seen = rel[:, :2] - rel[:, :2].mean(0), cells - cells.mean(0)
        scale = (plane * seen).sum() / (plane**2).sum()
        assert scale > 0 and np.abs(scale * plane - seen).max() < 0.5
    assert len(items) > 20


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_3d_is_in_the_axes_of_a_camera_that_looks_straight_at_the_hand_turned_as_the_placed_crop(seed):
    camera, joints_mm = Camera.from_fov((640, 480)), hand_mm(seed)
    image = np.zeros((480, 640, 3), np.uint8)
    window = cut_window(Sample("x", lambda: image, camera.project(joints_mm), joints_mm=joints_mm, camera=camera))
    placement = random_placement(np.random.default_rng(seed), WINDOW, 128, 0.0)
    crop = Crop.from_joints(camera, camera.project(joints_mm), WINDOW, MARGIN * WINDOW / CROP_SIZE)
    straight = crop.jittered(np.zeros(2), 1.0, -placement.roll_rad)
    wanted = (joints_mm - joints_mm[M0]) @ straight.camera_from_crop / np.linalg.norm(joints_mm[M0] - joints_mm[WRIST])
    np.testing.assert_allclose(placed_joints(window, placement), wanted, atol=1e-9)
    shown = placement.points(window.joints_px) - placement.points(window.joints_px)[M0]
    scale = np.sqrt(np.linalg.det(placement.matrix[:, :2]))
    seen = straight.to_crop(camera.project(joints_mm))
    np.testing.assert_allclose(shown, scale * (seen - seen[M0]), atol=1e-6)


def test_a_right_item_is_the_left_one_mirrored():
    """All of it: a network knows no more of a hand from the place of its labels than from its picture. But its joints count less, and its side more."""
    rng = np.random.default_rng(4)
    image, silhouette = (
        rng.integers(0, 256, (128, 128, 3), dtype=np.uint8),
        rng.integers(0, 256, (128, 128), dtype=np.uint8),
    )
    cells, relative = rng.uniform(-3, 34, (21, 2)), rng.normal(0, 1, (21, 3))
    relative[5] = np.nan
    valid = np.arange(21) != 8
    left, right = (
        training_item(image, cells, left=side, valid=valid, joints_rel=relative, silhouette=silhouette)
        for side in (True, False)
    )
    np.testing.assert_array_equal(right.pop("image"), left.pop("image")[:, ::-1])
    np.testing.assert_allclose(right.pop("mask"), left.pop("mask")[:, ::-1])
    np.testing.assert_allclose(right.pop("cells"), left.pop("cells") * (-1, 1) + (31, 0), atol=1e-5)
    np.testing.assert_array_equal(right.pop("joints_rel"), left.pop("joints_rel") * (-1, 1, 1))
    assert left.pop("left") == 1 and right.pop("left") == 0
    for key in ("labelled", "known_3d", "flat", "masked"):
        np.testing.assert_allclose(right.pop(key), RIGHT_WEIGHT * left.pop(key))
    assert right.pop("has_left") == RIGHT_SIDE_WEIGHT * left.pop("has_left")
    for key in left:
        np.testing.assert_array_equal(left[key], right[key], err_msg=key)


def test_a_right_hand_is_the_mirrored_left_one():
    camera, joints_mm = Camera(600.0, 600.0, 319.5, 239.5, (640, 480)), hand_mm(7)
    image = dotted(camera, joints_mm)
    joints_px = camera.project(joints_mm)
    left = cut_window(Sample("l", lambda: image, joints_px, joints_mm=joints_mm, side="left", camera=camera))
    seen = joints_px * (-1, 1) + (639, 0)
    right = Sample("r", lambda: image[:, ::-1], seen, joints_mm=joints_mm * (-1, 1, 1), side="right", camera=camera)
    mirrored = cut_window(right)
    np.testing.assert_allclose(mirrored.joints_px, left.joints_px, atol=1e-6)
    np.testing.assert_allclose(mirrored.joints_rel, left.joints_rel, atol=1e-9)
    assert np.abs(mirrored.image.astype(int) - left.image).mean() < 0.5


def missing(joints, reader=""):
    """An item of a hand some of whose joints are not labelled, and hold anything."""
    camera, joints_mm = Camera.from_fov((640, 480)), hand_mm(3)
    joints_px, valid = camera.project(joints_mm), np.ones(21, bool)
    valid[joints] = False
    if reader != "rhd":
        joints_mm = np.where(valid[:, None], joints_mm, [3.0, 1e9, -7.0])
        joints_px = np.where(valid[:, None], joints_px, np.nan)
    image = np.zeros((480, 640, 3), np.uint8)
    window = cut_window(Sample("x", lambda: image, joints_px, valid, joints_mm, "left", camera), reader)
    placement = random_placement(np.random.default_rng(0), WINDOW, 128, 0.0)
    rel = placed_joints(window, placement)
    return training_item(window.image, placement.points(window.joints_px) / 4, left=True, valid=valid, joints_rel=rel)


@pytest.mark.parametrize("joints", [[4, 8], [1], list(range(1, 9)) + [20]])
def test_joints_without_a_label_carry_no_loss(joints):
    item = missing(joints)
    for key in ("labelled", "known_3d"):
        assert np.flatnonzero(item[key] == 0).tolist() == joints
    assert np.isfinite(item["joints_rel"]).all() and np.isfinite(item["cells"]).all() and not item["flat"]


@pytest.mark.parametrize("joint", [WRIST, M0])
def test_without_its_origin_or_unit_a_hand_has_no_3d(joint):
    item = missing([joint, 8])
    assert not item["known_3d"].any() and item["flat"] == 1 and item["labelled"].sum() == 19


def test_an_unseen_origin_that_is_labelled_exactly_serves():
    item = missing([M0, 8], "rhd")
    assert item["known_3d"].all() and not item["flat"]
    assert np.flatnonzero(item["labelled"] == 0).tolist() == [8, M0], "unseen joints have no 2D"
    assert np.linalg.norm(item["joints_rel"][WRIST]) == pytest.approx(1, abs=1e-6)


def test_a_hidden_wrist_that_is_labelled_exactly_aims_the_window_too():
    camera, joints_mm = Camera.from_fov((640, 480)), hand_mm(3)
    image, valid = np.zeros((480, 640, 3), np.uint8), np.arange(21) != WRIST
    whole, hidden = (
        cut_window(Sample("x", lambda: image, camera.project(joints_mm), seen, joints_mm, "left", camera), "rhd")
        for seen in (np.ones(21, bool), valid)
    )
    np.testing.assert_allclose(hidden.joints_px[valid], whole.joints_px[valid], atol=1e-9)


def test_fingertips_alone_make_an_item():
    item = missing([j for j in range(21) if j not in TIPS])
    assert not item["known_3d"].any() and item["labelled"].sum() == 5
    assert np.ptp(item["cells"][TIPS], axis=0).max() < 24, "the whole hand has room in the window"


def test_hands_on_green_stand_before_other_grounds(tmp_path, plain):
    sample = open_split(write_synth_hands(tmp_path, 1)).samples[0]
    window = cut_window(sample, "synth_hands")
    assert set(np.unique(window.image[..., 3])) >= {0, 255}
    assert 0.05 < (window.image[..., 3] > 128).mean() < 0.8
    seen = window.image[window.image[..., 3] > 200][:, :3].astype(int)
    assert (seen[:, 1] - seen[:, [0, 2]].max(-1) < 60).all(), "no green is left on the hand"
    crops = PhotoCrops([tmp_path], "train", Backgrounds())
    green = [
        np.mean(np.all(np.abs(item["image"].astype(int) - synth_hands.CHROMA) < 12, -1)) for item in hands(crops, 40)
    ]
    assert len(green) > 20 and max(green) < 0.01, "an invented ground may hold some"


def test_green_is_taken_out_of_half_covered_pixels():
    share = np.zeros((40, 40), np.uint8)
    cv2.circle(share, (20, 20), 10, 255, -1)
    share = cv2.GaussianBlur(share, (5, 5), 0)
    mixed = share[..., None] / 255 * (200, 120, 90) + (1 - share[..., None] / 255) * np.array(synth_hands.CHROMA)
    image = dataset_crops._without_green(mixed.astype(np.uint8), share)
    np.testing.assert_allclose(image[share >= 64], np.tile((200, 120, 90), ((share >= 64).sum(), 1)), atol=6)
    edge = (share < 64) & (cv2.dilate(share, np.ones((3, 3))) >= 64)
    np.testing.assert_allclose(image[edge], np.tile((200, 120, 90), (edge.sum(), 1)), atol=6)
    np.testing.assert_array_equal(image[0, 0], synth_hands.CHROMA)


def test_large_sets_are_read_on_demand_and_give_the_same_items(tmp_path, monkeypatch):
    folder = write_synth_hands(tmp_path)
    config = StreamConfig((str(folder),), (1.0,), batch_size=6)
    kept = BatchMaker(config).batch(3)
    monkeypatch.setattr(dataset_crops, "KEPT", 3)
    monkeypatch.setattr("regnet.photo_crops.KEPT", 3)
    monkeypatch.setattr(dataset_crops, "_CACHED", 2)
    maker = BatchMaker(config)
    windows = maker.datasets[str(folder)].sets[0]
    assert isinstance(windows, OnDemand) and len(windows) == 4
    assert windows._cut.cache_info().currsize == 0
    for key, value in maker.batch(3).items():
        np.testing.assert_array_equal(value, kept[key])
    assert windows._cut.cache_info().currsize == 2, "the cache is bounded"
    for key, value in maker.batch(3).items():  # whatever is in the cache
        np.testing.assert_array_equal(value, kept[key])


@pytest.mark.parametrize("kept", [8000, 1])
def test_samples_without_labels_are_passed_over_and_counted(tmp_path, monkeypatch, capsys, kept):
    monkeypatch.setattr(dataset_crops, "KEPT", kept)
    crops = PhotoCrops([write_freihand(tmp_path, evaluation_labels=False)], None, Backgrounds())
    assert crops.n_hands == (3 if kept > 5 else 5)
    assert sum(item["known_3d"].all() for item in hands(crops, 20)) > 5
    told = capsys.readouterr().out
    assert told.count("\n") == 1 and ("2 of 5" if kept > 5 else "40% of 5") in told
    with pytest.raises(HandposeError, match="no labelled hand|none of 2"):
        PhotoCrops([tmp_path], "held_out", Backgrounds())


def test_training_and_progress_keep_to_the_split(tmp_path, capsys):
    freihand, synthetic = write_freihand(tmp_path / "f"), write_synth_hands(tmp_path / "s", 1)
    config = StreamConfig((str(freihand), str(synthetic)), (0.5, 0.5), batch_size=2)
    maker = BatchMaker(config)
    assert [crops.n_hands for crops in maker.datasets.values()] == [3, 1]
    names = {split: [sample.name.split("/")[0] for sample in open_split(freihand, split).samples] for split in
             ("train", "held_out")}  # fmt: skip
    assert set(names["train"]) == {"training"} and set(names["held_out"]) == {"evaluation"}
    held_out = HeldOut(config.sources, 128)
    assert held_out.n_photos == len(held_out.images) == 2 and np.isfinite(held_out.joints_mm).all()
    assert held_out.n_tests == 2, "papers' test sets choose no weights"
    assert "nothing in it is held out" in capsys.readouterr().out
    with pytest.raises(HandposeError, match="synth_hands has no split"):
        open_split(synthetic, "held_out")


def test_progress_sees_right_hands_as_left_ones(tmp_path):
    held_out = HeldOut([str(write_freihand(tmp_path))], 128)
    for image, joints_px, joints_mm in zip(held_out.images, held_out.joints_px, held_out.joints_mm, strict=True):
        x, y = joints_px[DOT].round().astype(int)
        assert image[y - 1 : y + 2, x - 1 : x + 2].max() > 150
        middle = (joints_mm - joints_mm.mean(0))[:, :2]
        seen = joints_px - joints_px.mean(0)
        scale = (middle * seen).sum() / (middle**2).sum()
        assert np.abs(scale * middle - seen).max() < 0.2 * np.ptp(seen, axis=0).max()
