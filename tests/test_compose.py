"""Compositing: the crop's geometry, what covers a hand, the camera's faults, and which backgrounds may be read."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.errors import HandposeError
from handpose.skeleton import M0
from handpose.synthesis import compose, occluders
from handpose.synthesis.backgrounds import SHOW_HANDS, Backgrounds, invented, shared_data, without_hands
from handpose.synthesis.compose import Window, camera_effects, composite
from handpose.synthesis.foreground import RELIEF_ZERO, Held, premultiplied
from handpose.synthesis.sampler import RenderSampler
from regnet import augment

SIZE = 128


@pytest.fixture(scope="module")
def hands():
    """Four rendered hands, without any data."""
    sampler = RenderSampler(11, SIZE, backgrounds=Backgrounds())
    return [sampler.rendered(number) for number in range(4)]


def test_the_unjittered_window_is_the_crop_of_the_hand(hands):
    for hand in hands:
        crop = Crop.from_joints(hand.camera, hand.joints_px, size=SIZE)
        window = Window.of(hand, SIZE)
        np.testing.assert_allclose(window.points(hand.joints_px), crop.to_crop(hand.joints_px), atol=0.02)


@given(roll=st.floats(-3.1, 3.1), scale=st.floats(0.8, 1.3))
@settings(max_examples=20, deadline=None)
def test_turned_joints_project_to_the_windows_points(hands, roll, scale):
    hand = hands[0]
    window = Window.of(hand, SIZE, (0, 0), scale, roll)
    focal = hand.camera.fx * SIZE / (hand.crop_side_px * scale)
    camera = Camera(focal, focal, (SIZE - 1) / 2, (SIZE - 1) / 2, (SIZE, SIZE))
    np.testing.assert_allclose(camera.project(window.turn(hand.joints_mm)), window.points(hand.joints_px), atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_with_less_spread_a_crop_misses_by_so_much_less(hands, seed):
    hand = hands[0]
    ideal, wide, tight = (Window.jittered(np.random.default_rng(seed), hand, SIZE, spread) for spread in (0, 1, 0.3))
    np.testing.assert_allclose(ideal.points(hand.joints_px), Window.of(hand, SIZE).points(hand.joints_px), atol=1e-9)
    assert tight.roll_rad == pytest.approx(0.3 * wide.roll_rad) and wide.roll_rad

    def log_zoom(window):
        return np.log(np.linalg.det(window.crop_from_canvas[:, :2]) / np.linalg.det(ideal.crop_from_canvas[:, :2]))

    assert log_zoom(tight) == pytest.approx(0.3 * log_zoom(wide)) and log_zoom(wide)
    hidden = np.linalg.norm(tight.points(np.full(2, (hand.size - 1) / 2)) - (SIZE - 1) / 2)
    assert 0 < hidden <= 0.3 * 0.08 * np.sqrt(2) * SIZE / 0.85


@pytest.mark.parametrize("roll", [0.0, 0.7, -2.5])
def test_points_and_pixels_go_to_the_same_place(hands, roll):
    hand = hands[1]
    middle = (hand.size - 1) / 2
    spot = np.array([middle - 14.0, middle + 9.0])
    rows, columns = np.mgrid[: hand.size, : hand.size]
    canvas = (255 * np.exp(-((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / 18)).astype(np.float32)
    window = Window.of(hand, SIZE, (0.05, -0.03), 1.1, roll)
    moved = window.warp(canvas, SIZE)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    found = np.array([(columns * moved).sum(), (rows * moved).sum()]) / moved.sum()
    np.testing.assert_allclose(found, window.points(spot), atol=0.05)


def test_positive_roll_turns_the_picture_clockwise(hands):
    wrist, middle = Window.of(hands[0], SIZE, roll_rad=np.pi / 2).points(hands[0].joints_px[[0, M0]])
    assert middle[0] > wrist[0] + 15 and abs(middle[1] - wrist[1]) < 5  # what pointed up now points right


def test_a_picture_is_background_where_there_is_no_hand_and_hand_where_there_is(hands):
    hand, window, backgrounds = hands[0], Window.of(hands[0], SIZE), Backgrounds()
    differences = []
    for seed in range(30):
        with_hand, covered = composite(np.random.default_rng(seed), hand, window, backgrounds, SIZE)
        ground = backgrounds.sample(np.random.default_rng(seed), SIZE)
        if covered.max() == 0:
            differences.append(np.abs(with_hand.astype(int) - ground).max(-1))
    alpha = window.warp(hand.rgba, SIZE)[..., 3]
    changed = np.median(differences, axis=0)
    assert len(differences) > 5
    assert (changed[cv2.dilate(alpha, np.ones((5, 5))) == 0] <= 1).mean() > 0.99
    assert (changed[cv2.erode(alpha, np.ones((3, 3))) == 255] > 3).mean() > 0.9


def test_a_held_ball_hides_the_palm_but_not_the_fingers_before_it():
    relief = np.zeros((SIZE, SIZE), np.uint8)
    relief[:, :64] = RELIEF_ZERO - 60  # fingers, 60 mm nearer than M0
    relief[:, 64:] = RELIEF_ZERO + 10  # the palm
    ball = Held("ball", np.full((2, 2), 63.5), np.full(2, 30.0), np.full(2, 400.0), 400.0, 40.0)
    whole = np.array([[1.0, 0, 0], [0, 1, 0]])
    layer = occluders.held(np.random.default_rng(0), Backgrounds(), ball, relief, whole)
    assert layer.shape == (SIZE, SIZE, 4)
    assert (layer[55:72, 40:60, 3] == 0).all()
    assert (layer[55:72, 68:85, 3] == 255).all()
    assert (layer[:, 100:, 3] == 0).all()


def test_a_bar_is_wider_where_it_is_nearer_and_its_depth_is_that_of_perspective():
    """From 200 to 600 mm away: half way along the picture it is at 300 mm, not at 400."""
    whole, rng = np.array([[1.0, 0, 0], [0, 1, 0]]), np.random.default_rng(0)
    bar = Held("bar", np.array([[10.0, 64], [118, 64]]), np.array([24.0, 8.0]), np.array([200.0, 600.0]), 300.0, 10.0)
    drawn = occluders.held(rng, Backgrounds(), bar, np.zeros((SIZE, SIZE), np.uint8), whole)[..., 3] > 127
    assert drawn[:, 20].sum() > drawn[:, 64].sum() + 10 > drawn[:, 108].sum() + 20
    for nearer, hidden in ((20, True), (-40, False)):
        hand = np.full((SIZE, SIZE), RELIEF_ZERO - nearer, np.uint8)  # so many mm nearer than the bar's middle
        mask = occluders.held(rng, Backgrounds(), bar, hand, whole)[..., 3]
        assert (mask[60:68, 64] == 0).all() == hidden


def test_a_bar_that_points_at_the_camera_is_its_end():
    bar = Held("bar", np.full((2, 2), 63.5), np.array([20.0, 10.0]), np.array([200.0, 400.0]), 300.0, 10.0)
    mask = occluders.held(
        np.random.default_rng(0),
        Backgrounds(),
        bar,
        np.zeros((SIZE, SIZE), np.uint8),
        np.array([[1.0, 0, 0], [0, 1, 0]]),
    )
    assert (mask[..., 3] > 127).sum() == pytest.approx(np.pi * 20**2, rel=0.1)


def test_what_passes_before_a_hand_is_near_it_and_counted(hands):
    hidden, seen = [], 0
    for seed in range(60):
        window = Window.of(hands[0], SIZE)
        _, covered = composite(np.random.default_rng(seed), hands[0], window, Backgrounds(), SIZE, hands[1])
        hidden.append(covered.mean())
        seen += covered.max() > 0
    assert 8 < seen < 50
    assert max(hidden) > 0.05 and np.mean(hidden) < 0.3


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_camera_effects_keep_the_form_and_follow_the_seed(seed):
    picture = invented(np.random.default_rng(seed), SIZE)
    first, second = (camera_effects(np.random.default_rng(seed), picture.copy()) for _ in range(2))
    assert first.shape == picture.shape and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)


def test_blur_leaves_a_picture_in_its_place():
    off = []
    for blurred in (compose._sharpness, lambda rng, image: augment._blur(image, rng)):
        for seed in range(150):
            picture = np.zeros((129, 129, 3), np.uint8)
            picture[54:75, 54:75] = 200
            weight = blurred(np.random.default_rng(seed), picture)[..., 0].astype(float)
            off.append([(weight.sum(axis) @ np.arange(129)) / weight.sum() - 64 for axis in (0, 1)])
    assert np.abs(off).max() < 0.3 and np.abs(np.mean(off, 0)).max() < 0.02


def test_camera_effects_keep_channels_in_order():
    red = np.zeros((SIZE, SIZE, 3), np.uint8)
    red[..., 0] = 220
    mean = np.mean([camera_effects(np.random.default_rng(seed), red).mean((0, 1)) for seed in range(20)], axis=0)
    assert mean[0] > 2 * mean[1] and mean[0] > 2 * mean[2]


def test_premultiplied_colour_never_exceeds_alpha():
    rng = np.random.default_rng(0)
    rgba = premultiplied(rng.integers(0, 256, (20, 20, 3), np.uint8), rng.integers(0, 256, (20, 20), np.uint8))
    assert (rgba[..., :3] <= rgba[..., 3:]).all()


def test_backgrounds_need_no_data():
    pictures = [Backgrounds().sample(np.random.default_rng(seed), 64) for seed in range(20)]
    assert all(picture.shape == (64, 64, 3) and picture.dtype == np.uint8 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 20


def test_reserved_photographs_are_never_read(tmp_path):
    (tmp_path / "clothing").mkdir()
    for number in range(0, 43):
        tint = 250 if number % 10 == 0 else 100
        cv2.imwrite(str(tmp_path / "clothing" / f"{number:04d}.jpg"), np.full((300, 300, 3), tint, np.uint8))
    backgrounds = Backgrounds(tmp_path)
    assert len(backgrounds.photos) == 38
    rng = np.random.default_rng(0)
    assert max(backgrounds.photo(rng, 32).max() for _ in range(300)) < 120


def test_photographs_that_show_a_hand_are_no_backgrounds(tmp_path):
    folder = tmp_path / "clothing"
    folder.mkdir()
    for number in range(209, 218):
        (folder / f"{number:04d}.jpg").touch()
    assert [path.stem for path in without_hands(folder, "12345")] == ["0211", "0213", "0214"]
    assert [path.stem for path in Backgrounds(tmp_path).photos] == [
        "0209", "0211", "0211", "0213", "0214", "0214", "0216", "0217",
    ]  # fmt: skip


def test_the_shared_photographs_without_the_reserved_ones(shared_data):
    backgrounds = Backgrounds(shared_data / "backgrounds")
    assert len(backgrounds.photos) == 1134 and len(backgrounds.maps) == 12
    folder = shared_data / "backgrounds" / "clothing"
    assert all((folder / f"{number}.jpg").is_file() for number in SHOW_HANDS)
    assert not SHOW_HANDS & {path.stem for path in backgrounds.photos}
    assert backgrounds.sample(np.random.default_rng(0), 100).shape == (100, 100, 3)


def test_a_broken_photograph_is_named(tmp_path):
    (tmp_path / "clothing").mkdir()
    (tmp_path / "clothing" / "0001.jpg").write_bytes(b"nothing")
    with pytest.raises(HandposeError, match=r"0001\.jpg"):
        Backgrounds(tmp_path).photo(np.random.default_rng(0), 32)


def test_a_named_folder_must_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDPOSE_SHARED_DATA", str(tmp_path))
    assert shared_data() == tmp_path
    monkeypatch.setenv("HANDPOSE_SHARED_DATA", str(tmp_path / "absent"))
    with pytest.raises(HandposeError, match="absent"):
        shared_data()
