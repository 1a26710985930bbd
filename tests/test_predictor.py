"""The predictor: mirror symmetry, the way back to the picture, expected errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.heatmap import cells_from_px, gaussian_heatmaps
from handpose.skeleton import M0, WRIST
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.compose import Window
from handpose.synthesis.sampler import RenderSampler
from regnet.predictor import Predictor, expected_error_cells

SIZE = 128


@pytest.fixture(scope="module")
def rendered_hands():
    sampler = RenderSampler(7, SIZE, backgrounds=Backgrounds())
    return [sampler.rendered(number) for number in range(3)]


class LinearNetwork:
    """Answers that depend on every pixel, so that a wrongly mirrored window shows."""

    input_size = SIZE

    def __init__(self):
        rng = np.random.default_rng(3)
        self.weights = rng.normal(size=(SIZE * SIZE * 3, 21 * 6 + 2)) / 2e4

    def __call__(self, images):
        assert images.dtype == np.uint8 and images.flags.c_contiguous
        numbers = images.reshape(len(images), -1).astype(float) @ self.weights
        cells = 15.5 + 8 * np.tanh(numbers[:, :42].reshape(-1, 21, 2))
        chances = 1 / (1 + np.exp(-numbers[:, 105:]))
        return {
            "heatmaps": gaussian_heatmaps(cells),
            "joints_rel": numbers[:, 42:105].reshape(-1, 21, 3).astype(np.float32),
            "confidence": chances[:, :21], "presence": chances[:, 21:22], "left": chances[:, 22:23],
        }  # fmt: skip


class PaintedNetwork:
    """Sees the joints of one window, which is known beforehand."""

    input_size = SIZE

    def __init__(self, joints_px, joints_rel=np.zeros((21, 3))):
        self.joints_px, self.joints_rel = joints_px, joints_rel
        self.windows = None

    def __call__(self, images):
        self.windows = images
        n = len(images)
        heatmaps = gaussian_heatmaps(cells_from_px(self.joints_px, SIZE))[None].repeat(n, 0)
        ones = np.ones((n, 21))
        return {
            "heatmaps": heatmaps, "joints_rel": self.joints_rel[None].repeat(n, 0), "confidence": 0.8 * ones,
            "presence": ones[:, :1], "left": 0.9 * ones[:, :1],
        }  # fmt: skip


@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(["left", "right"]), min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_mirrored_window_with_the_other_side_gives_the_mirrored_answer(seed, sides):
    windows = np.random.default_rng(seed).integers(0, 256, (len(sides), SIZE, SIZE, 3), dtype=np.uint8)
    predictor = Predictor(LinearNetwork())
    one = predictor.windows(windows, sides)
    other = predictor.windows(windows[:, :, ::-1], ["left" if side == "right" else "right" for side in sides])
    np.testing.assert_allclose(other.joints_px * (-1, 1) + (SIZE - 1, 0), one.joints_px, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(other.joints_rel * (-1, 1, 1), one.joints_rel)
    np.testing.assert_allclose(other.left, 1 - one.left, rtol=0, atol=1e-15)
    for name in ("confidence", "presence", "sigma_px"):
        np.testing.assert_array_equal(getattr(other, name), getattr(one, name))


def test_sides_matter():
    windows = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    predictor = Predictor(LinearNetwork())
    left, right = predictor.windows(windows, ["left"]), predictor.windows(windows, ["right"])
    assert np.abs(left.joints_px - right.joints_px).max() > 0.1


@given(
    st.floats(-3, 3), st.floats(60, 400), st.floats(100, 500), st.floats(100, 380), st.sampled_from(["left", "right"])
)
@settings(max_examples=40, deadline=None)
def test_joints_come_back_to_the_picture(roll, side_px, u, v, side):
    camera = Camera.from_fov((640, 480))
    crop = Crop.from_box(camera, np.array([u, v]), side_px, roll)
    joints_window = np.random.default_rng(1).uniform(10, SIZE - 10, (21, 2))
    fed = joints_window if side == "left" else joints_window * (-1, 1) + (SIZE - 1, 0)
    image = np.zeros((480, 640, 3), np.uint8)
    (prediction,) = Predictor(PaintedNetwork(fed))(image, [crop], [side])
    np.testing.assert_allclose(crop.to_crop(prediction.joints_px), joints_window, atol=0.02)
    assert prediction.left == pytest.approx(0.9 if side == "left" else 0.1)
    assert prediction.presence == 1


@given(
    st.floats(-0.12, 0.12), st.floats(-0.12, 0.12), st.floats(0.8, 1.3), st.floats(-3, 3),
    st.sampled_from(["left", "right"]), st.integers(0, 2),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_3d_taught_by_renders_comes_back_to_the_cameras_axes(rendered_hands, dx, dy, scale, roll, side, number):
    """However a crop misses the hand, the 3D of a network that says what rendered hands teach is that of the hand before the camera."""
    hand, mirror = rendered_hands[number], (1, 1, 1) if side == "left" else (-1, 1, 1)
    offsets = (hand.joints_mm - hand.joints_mm[M0]) / np.linalg.norm(hand.joints_mm[WRIST] - hand.joints_mm[M0])
    taught = Window.of(hand, SIZE, (dx, dy), scale, roll)
    window_px = taught.points(hand.joints_px)
    network = PaintedNetwork(window_px, taught.turn(offsets))
    joints_px = hand.joints_px if side == "left" else hand.joints_px * (-1, 1) + (hand.size - 1, 0)
    shift, turn = ((dx, dy), -roll) if side == "left" else ((-dx, dy), roll)
    missing = Crop.from_joints(hand.camera, joints_px).jittered(np.array(shift), scale, turn)
    (prediction,) = Predictor(network)(np.zeros((hand.size, hand.size, 3), np.uint8), [missing], [side])
    seen = prediction.joints_rel @ missing.camera_from_crop.T
    away = np.linalg.norm(seen - offsets * mirror, axis=-1)
    cut_off = ((window_px < 0) | (window_px > SIZE - 1)).any()  # then it is seen at the edge, and the hand elsewhere
    assert away.max() < (0.02 if cut_off else 1e-4), away.max()


def test_expected_error_grows_with_the_window_and_with_doubt():
    camera = Camera.from_fov((640, 480))
    network = PaintedNetwork(np.full((21, 2), 60.0))
    image = np.zeros((480, 640, 3), np.uint8)
    crops = [Crop.from_box(camera, np.array([320, 240]), side, 0.0) for side in (64, 128)]
    small, large = Predictor(network)(image, crops, ["left", "left"])
    np.testing.assert_allclose(large.sigma_px, 2 * small.sigma_px, rtol=0.02)
    np.testing.assert_allclose(large.sigma_px, 4 * np.sqrt(1.5**2 * -2 * np.log(0.8) - 1 / 6), rtol=0.02)
    errors = expected_error_cells(np.linspace(0, 1, 50))
    assert (np.diff(errors) <= 0).all() and errors[-1] > 0 and np.isfinite(errors).all()


def test_a_right_hand_is_shown_mirrored_to_the_network():
    image = np.random.default_rng(2).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    crop = Crop.from_box(Camera.from_fov((640, 480)), np.array([300, 200]), 200, 0.4)
    network = PaintedNetwork(np.full((21, 2), 60.0))
    Predictor(network)(image, [crop, crop], ["left", "right"])
    np.testing.assert_array_equal(network.windows[0], crop.warp(image))
    np.testing.assert_array_equal(network.windows[1], crop.warp(image)[:, ::-1])


def test_no_crops_no_predictions():
    assert Predictor(LinearNetwork())(np.zeros((480, 640, 3), np.uint8), [], []) == []
