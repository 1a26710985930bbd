"""The detector's scenes, targets and decoding: what is drawn into the maps comes out of them, and doubtful places teach nothing."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_data import write_photo_set

from handpose.errors import HandposeError
from handpose.letterbox import Letterbox
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.foreground import straight
from handpose.synthesis.people import PeopledBackgrounds, draw_person
from handpose.synthesis.sampler import RenderSampler
from tracker.detector import Detector, decode_maps
from tracker.detector_data import SceneConfig, SceneMaker
from tracker.detector_paste import Scene, cover, paste
from tracker.detector_pictures import PhotoPictures
from tracker.detector_renders import RenderedPictures
from tracker.detector_targets import STRIDE, Picture, SceneHand, scene_hand, scene_targets

seeds = st.integers(0, 2**32 - 1)
MAPS = ("centre", "box", "offset", "roll", "left")


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_targets_decode_to_their_hands(seed):
    rng = np.random.default_rng(seed)
    corners = np.array([[40, 40], [150, 50], [60, 150], [150, 140]])
    hands = [
        SceneHand(c + rng.uniform(-12, 12, 2), rng.uniform(12, 60), rng.uniform(-3, 3), bool(rng.integers(2)))
        for c in corners[: rng.integers(0, 5)]
    ]
    targets = scene_targets(hands, 192)
    found = decode_maps({name: targets[name] for name in MAPS}, 192, 0.99)
    assert len(found) == len(hands)
    for hand in hands:
        match = min(found, key=lambda d: np.linalg.norm(d.centre_px - hand.centre_px))
        np.testing.assert_allclose(match.centre_px, hand.centre_px, atol=1e-3)
        assert match.side_px == pytest.approx(hand.side_px, rel=1e-4)
        assert np.cos(match.roll_rad - hand.roll_rad) > 1 - 1e-5
        assert (match.left > 0.5) == hand.left


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), seeds)
def test_letterbox_carries_points_there_and_back(width, height, seed):
    box = Letterbox.of(width, height, 192)
    points = np.random.default_rng(seed).uniform(0, (width, height), (5, 2))
    np.testing.assert_allclose(box.to_image(box.to_square(points)), points, atol=1e-6 * max(width, height))
    corner = box.to_square(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
    assert (corner > -0.5 - 1e-6).all() and (corner < 191.5 + 1e-6).all()
    assert np.ptp(corner, axis=0).max() == pytest.approx(192)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (100, 100), (150, 220), (32, 20)])
def test_letterbox_draws_pixels_where_points_go(size):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = size[0] // 3, size[1] // 2
    half = max(size) // 16
    image[y - half : y + half + 1, x - half : x + half + 1] = 255
    box = Letterbox.of(*size, 192)
    weight = box.warp(image)[..., 0].astype(float)
    rows, columns = np.indices(weight.shape)
    centre = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(centre, box.to_square(np.array([x, y])), atol=0.6)


def test_detections_come_back_in_the_pixels_of_the_picture():
    hand = SceneHand(np.array([100.0, 90.0]), 40.0, 0.3, True)
    targets = scene_targets([hand], 192)

    class Answer:
        input_size = 192

        def __call__(self, images):
            return {name: targets[name][None] for name in MAPS}

    (found,) = Detector(Answer())(np.zeros((480, 640, 3), np.uint8))
    box = Letterbox.of(640, 480, 192)
    np.testing.assert_allclose(box.to_square(found.centre_px), hand.centre_px, atol=1e-3)
    assert found.side_px == pytest.approx(40 * 640 / 192, rel=1e-4)


def test_a_box_is_that_of_the_crop():
    """Fingers straight up: no roll, and the side is the longer one of the joints' box."""
    joints = np.array([[50, 100]] + [[40 + 5 * f, 80 - 15 * i] for f in range(5) for i in range(4)], float)
    joints[9] = (50, 70)
    hand = scene_hand(joints, (200, 200), True)
    assert abs(hand.roll_rad) < 0.02
    assert hand.side_px == pytest.approx(np.ptp(joints, axis=0).max(), rel=0.06)  # the crop is a camera of its own
    np.testing.assert_allclose(hand.centre_px, (joints.min(0) + joints.max(0)) / 2, atol=1.5)
    turned = (joints - 100) @ np.array([[0, 1], [-1, 0]]) + 100  # a quarter clockwise
    assert scene_hand(turned, (200, 200), True).roll_rad == pytest.approx(np.pi / 2, abs=0.05)


@settings(max_examples=25, deadline=None)
@given(seeds, st.booleans())
def test_pasted_hands_are_where_the_scene_says(seed, frame):
    rng = np.random.default_rng(seed)
    image = np.zeros((120, 160, 4), np.uint8)
    cv2.circle(image, (70, 50), 9, (255, 255, 255, 255), -1)
    image[..., 3] = 255
    picture = Picture(
        image, [SceneHand(np.array([70.0, 50.0]), 40.0, 0.0, True)], np.full((120, 160), 255, np.uint8), False
    )
    scene = paste(Scene.empty(np.zeros((192, 192, 3), np.uint8)), picture, rng, frame=frame)
    assert (scene.known == 255).all() or not scene.hands, "only the place of a hand that is cut off is in doubt"
    for hand in scene.hands:
        x, y = hand.centre_px.round().astype(int)
        if 2 < x < 189 and 2 < y < 189:
            assert scene.canvas[y, x].max() > 120


def test_a_covered_hand_is_in_doubt_and_not_background():
    rng = np.random.default_rng(0)
    whole = np.full((60, 60, 4), 255, np.uint8)
    below = SceneHand(np.array([96.0, 96.0]), 20.0, 0.0, True)
    picture = Picture(
        whole, [SceneHand(np.array([30.0, 30.0]), 12.0, 0.0, True)], np.full((60, 60), 255, np.uint8), False
    )
    before = Scene(np.zeros((192, 192, 3), np.uint8), np.full((192, 192), 255, np.uint8), [below])
    for _ in range(40):
        scene = paste(before, picture, rng)
        assert (scene.known[96, 96] == 0) == (below not in scene.hands)
        if scene.canvas[96, 96, 0] in (0, 255):  # not on the edge
            assert (below in scene.hands) == (scene.canvas[96, 96, 0] == 0)
    assert (before.known == 255).all()


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(20, 150))
def test_a_thing_before_a_hand_suits_its_size_and_hides_it_or_not(seed, side):
    hand = SceneHand(np.array([96.0, 96.0]), side, 0.0, True)
    marked = np.full((192, 192, 3), (1, 254, 1), np.uint8)  # no thing has this colour all over
    before = Scene(marked, np.full((192, 192), 255, np.uint8), [hand])
    scene = cover(before, Backgrounds(), np.random.default_rng(seed))
    assert (before.known == 255).all() and before.hands == [hand], "the scene below stays as it was"
    changed = (scene.canvas != marked).any(-1)
    rows, columns = np.nonzero(changed)
    assert np.hypot(rows - 96, columns - 96).max(initial=0) < 4 * side
    middle = np.hypot(*(np.indices(changed.shape) - 96)) <= 0.3 * side
    hidden = changed[middle].mean()
    if hidden > 0.9:
        assert scene.hands == [] and scene.known[96, 96] == 0, "a hand that is hidden is neither sought nor background"
    if hidden < 0.4:
        assert scene.hands == [hand] and (scene.known == 255).all()


def test_things_lie_about_where_no_hand_is_too():
    empty = Scene.empty(np.full((192, 192, 3), (1, 254, 1), np.uint8))
    scenes = [cover(empty, Backgrounds(), np.random.default_rng(seed)) for seed in range(8)]
    assert sum((scene.canvas != empty.canvas).any() for scene in scenes) > 4
    assert all(scene.hands == [] and (scene.known == 255).all() for scene in scenes)


def test_scenes_follow_the_seed_and_hold_what_they_say(tmp_path):
    folder = write_photo_set(tmp_path / "photos")
    config = SceneConfig((str(folder),), (1.0,), batch_size=6)
    first, again = SceneMaker(config).batch(3), SceneMaker(config).batch(3)
    for key, value in first.items():
        np.testing.assert_array_equal(value, again[key])
    grid = 192 // STRIDE
    assert first["image"].shape == (6, 192, 192, 3) and first["image"].dtype == np.uint8
    assert first["centre"].shape == first["known"].shape == (6, grid, grid, 1)
    assert first["roll"].shape == (6, grid, grid, 2)
    many = [SceneMaker(config).batch(step) for step in range(3)]
    per_scene = np.concatenate([(batch["centre"] == 1).sum((1, 2, 3)) for batch in many])
    assert 0 in per_scene and per_scene.max() >= 1, "scenes with and without hands"


def test_skin_without_a_label_is_in_doubt(tmp_path):
    """A second, unlabelled hand must not be taught as background."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    image = np.full((200, 300, 3), (90, 90, 90), np.uint8)
    cv2.circle(image, (70, 100), 30, (110, 150, 210), -1)  # BGR skin: the labelled hand
    cv2.circle(image, (230, 100), 30, (110, 150, 210), -1)  # and another one
    cv2.imwrite(str(folder / "images" / "a.png"), image)
    joints = np.array([70, 100]) + 25 * np.random.default_rng(0).uniform(-1, 1, (21, 2))
    label = {"side": "left", "joints_px": joints.tolist()}
    (folder / "pseudo_labels.json").write_text(json.dumps({"a.png": [label]}))
    (picture,) = SceneMaker(SceneConfig((str(folder),), (1.0,))).pictures[str(folder)].whole
    assert picture.known[100, 230] == 0 and picture.known[100, 70] == 255 and picture.known[10, 10] == 255


def test_pictures_without_labels_are_no_scenes(tmp_path):
    folder = write_photo_set(tmp_path / "photos", 3)
    labels = json.loads((folder / "pseudo_labels.json").read_text())
    labels["0.png"] = []
    labels["1.png"] = labels["1.png"] * 2  # one hand, labelled twice
    (folder / "pseudo_labels.json").write_text(json.dumps(labels))
    assert len(SceneMaker(SceneConfig((str(folder),), (1.0,))).pictures[str(folder)].whole) == 1


def test_a_set_without_a_usable_hand_is_told(tmp_path):
    folder = write_photo_set(tmp_path / "photos", 2)
    (folder / "pseudo_labels.json").write_text(json.dumps({"0.png": []}))
    with pytest.raises(HandposeError, match="no hand in it has all its joints labelled"):
        PhotoPictures(folder, "train")


def test_hands_are_cut_out_of_photographs_whatever_is_behind_them(shared_data):
    pictures = PhotoPictures(shared_data / "real" / "hands_dguzk", "train")
    rng = np.random.default_rng(0)
    drawn = [picture for picture in (pictures.cut_out(rng) for _ in range(12)) if picture]
    assert len(drawn) >= 8, "most can be cut out"
    for picture in drawn:
        (hand,) = picture.hands
        alpha, (x, y) = picture.image[..., 3], hand.centre_px.round().astype(int)
        half = int(hand.side_px / 2)
        inside = alpha[max(y - half, 0) : y + half, max(x - half, 0) : x + half]
        assert max(alpha.shape) <= 192 and inside.mean() > 80 > 2 * alpha[:8, :8].mean()
    assert not any(picture.is_cut_out for picture in pictures.whole), "whole pictures stay whole"


def test_what_cannot_be_cut_out_is_pasted_whole(tmp_path):
    folder = write_photo_set(tmp_path / "photos", 2)
    for path in (folder / "images").iterdir():
        cv2.imwrite(str(path), np.full((160, 200, 3), 128, np.uint8))
    assert PhotoPictures(folder, "train").cut_out(np.random.default_rng(0)) is None
    assert SceneMaker(SceneConfig((str(folder),), (1.0,), batch_size=8)).batch(0)["centre"].max() == 1


def test_rendered_pictures_hold_their_hand():
    picture = RenderedPictures(0).picture(2, 0, np.random.default_rng(1))
    (hand,) = picture.hands
    alpha = picture.image[..., 3]
    half = int(hand.side_px / 2)
    x, y = hand.centre_px.round().astype(int)
    assert alpha[max(y - half, 0) : y + half, max(x - half, 0) : x + half].mean() > 60
    assert hand.left is True


def test_libhands_hands_are_scenes_too(shared_data):
    ours, libhands = (SceneMaker(SceneConfig((word,), (1.0,), batch_size=4)).batch(1) for word in ("render", "libhand"))
    assert libhands["image"].shape == ours["image"].shape and (libhands["image"] != ours["image"]).any()


def test_a_hand_that_grasps_is_shown_with_the_thing():
    pictures, rng, sampler = RenderedPictures(0), np.random.default_rng(1), RenderSampler(0, 192)
    number = next(i for i in range(100) if sampler.placed(i, 192).grip is not None)
    hand, picture = sampler.foreground(number, 192), pictures._holding(sampler.foreground(number, 192), rng)
    changed = (picture != straight(hand.rgba)).any(-1)
    assert changed.mean() > 0.002  # the thing is there
    assert (picture[..., 3] >= hand.rgba[..., 3]).all()
    assert not changed[hand.rgba[..., 3] == 255].all()  # and covers no more than part of the hand


def test_a_rendered_picture_does_not_depend_on_those_before():
    """Or a resumed run would see others: it begins with nothing kept."""
    kept, fresh = RenderedPictures(0), RenderedPictures(0)
    for number in range(3):
        kept.picture(1, number, np.random.default_rng(number))
    rngs = [np.random.default_rng(2) for _ in range(2)]
    pictures = [source.picture(1, 2, rng) for source, rng in zip((kept, fresh), rngs, strict=True)]
    np.testing.assert_array_equal(pictures[0].image, pictures[1].image)
    assert rngs[0].random() == rngs[1].random()


def test_people_are_drawn_and_differ():
    canvases = [np.full((120, 120, 3), 100, np.uint8) for _ in range(4)]
    for seed, canvas in enumerate(canvases):
        draw_person(canvas, np.array([60.0, 40.0]), 50.0, np.random.default_rng(seed))
        assert (canvas != 100).any(-1).mean() > 0.1
    assert not np.array_equal(canvases[0], canvases[1])


def test_some_backgrounds_show_people_and_the_rest_are_as_they_were():
    plain, peopled = Backgrounds(), PeopledBackgrounds(None, 0.3, (0.3, 0.5))
    differ = [
        (peopled.sample(np.random.default_rng(seed), 64) != plain.sample(np.random.default_rng(seed), 64)).any()
        for seed in range(60)
    ]
    assert 8 <= sum(differ) <= 30


def test_a_hand_with_a_joint_that_is_not_labelled_is_no_background(tmp_path):
    """It is no target, for its box is not known, and so nothing may be said of the skin there."""
    skin = np.full((160, 240, 3), 40, np.uint8)
    items = []
    for name, (x, valid) in {"left": (50, 1), "right": (170, 0)}.items():
        joints = np.random.default_rng(1).uniform(-22, 22, (21, 2)) + (x, 80)
        cv2.circle(skin, (x, 80), 34, (120, 150, 215), -1)
        items.append({"file": "a.png", "hand": name, "joints": np.c_[joints, np.r_[valid, np.ones(20)]].tolist()})
    folder = tmp_path / "some_set"
    (folder / "images").mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "a.png"), skin)
    (folder / "annotations.json").write_text(json.dumps({"items": items}))
    (picture,) = (pictures := PhotoPictures(folder, "train")).whole
    assert len(picture.hands) == 1 and not pictures.complete
    assert picture.known[80, 170] == 0 and picture.known[5, 5] == 255 and picture.known[80, 50] == 255
