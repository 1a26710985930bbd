"""Hands that lie badly in their window are looked at again, well aimed at, and the answer comes back to where they lie."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handpose.heatmap import cells_from_px, gaussian_heatmaps
from handpose.rotation import plane_rotation
from handpose.skeleton import M0, WRIST
from regnet.altered import altered, carried_back
from regnet.predictor import Predictor
from regnet.second_look import SecondLookPredictor

SIZE = 128
HAND = np.column_stack([np.linspace(-14, 14, 21), np.linspace(30, -30, 21)])  # about its middle, the wrist lowest
HAND[M0] = 0, -10


class Palms:
    """Sees the wrist at the red spot and M0 at the green one, the other joints by these; sure of upright hands alone."""

    input_size = SIZE

    def __init__(self):
        self.windows = []

    def __call__(self, images):
        self.windows += list(images)
        joints_px = np.stack([self._joints(image) for image in images])
        arm = joints_px[:, M0] - joints_px[:, WRIST]
        upright = -arm[:, 1] / np.linalg.norm(arm, axis=-1)
        ones = np.ones((len(images), 21))
        return {
            "heatmaps": gaussian_heatmaps(cells_from_px(joints_px, SIZE)),
            "joints_rel": np.dstack([(joints_px - joints_px[:, [M0]]) / np.linalg.norm(arm, axis=-1)[:, None, None], ones]),
            "confidence": np.clip(upright, 0.05, 0.95)[:, None] * ones, "presence": ones[:, :1], "left": 0.9 * ones[:, :1],
        }  # fmt: skip

    def _joints(self, image):
        rows, columns = np.mgrid[:SIZE, :SIZE]
        wrist, knuckle = (
            np.array([(image[..., c] * grid.astype(float)).sum() for grid in (columns, rows)]) / image[..., c].sum()
            for c in (0, 1)
        )
        own = HAND[M0] - HAND[WRIST]
        arm = knuckle - wrist
        turn = plane_rotation(np.arctan2(arm[1], arm[0]) - np.arctan2(own[1], own[0]))
        return (HAND - HAND[WRIST]) @ turn.T * np.linalg.norm(arm) / np.linalg.norm(own) + wrist


def picture(joints_px):
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    for colour, joint in enumerate((WRIST, M0)):
        one = np.zeros((SIZE, SIZE), np.uint8)
        cv2.circle(one, np.round(joints_px[joint]).astype(int).tolist(), 4, 255, -1)
        image[..., colour] = one
    return image


ARM = HAND[M0] - HAND[WRIST]
UPRIGHT = HAND @ plane_rotation(-np.arctan2(ARM[0], -ARM[1])).T
UPRIGHT *= SIZE / 1.5 / np.ptp(UPRIGHT, axis=0).max()  # as large as crops show hands


def hand(lean_rad, zoom=1.0, shift=(0, 0)):
    """Place a hand of which M0 is turned by lean_rad from above W, its box around the middle of the window."""
    turned = zoom * UPRIGHT @ plane_rotation(lean_rad).T
    return turned - (turned.min(0) + turned.max(0)) / 2 + (SIZE - 1) / 2 + SIZE * np.array(shift)


@pytest.mark.parametrize(
    ("lean", "zoom", "shift", "again"),
    [
        (0, 1, (0, 0), False), (0.2, 1, (0, 0), False), (-0.2, 1, (0, 0), False), (0.33, 1, (0, 0), True), (-0.33, 1, (0, 0), True),
        (3.1, 1, (0, 0), True), (0, 0.95, (0, 0), False), (0, 1.05, (0, 0), False), (0, 0.8, (0, 0), True), (0, 1.25, (0, 0), True),
        (0, 1, (0.05, 0), False), (0, 1, (0, -0.05), False), (0, 0.9, (0.11, 0), True), (0, 0.9, (0, -0.11), True),
    ],
)  # fmt: skip
def test_a_hand_turned_too_large_too_small_or_beside_the_middle_is_looked_at_again(lean, zoom, shift, again):
    network = Palms()
    SecondLookPredictor(network).windows([picture(hand(lean, zoom, shift))], ["left"])
    assert len(network.windows) == 1 + again


@given(st.floats(-3.1, 3.1), st.floats(0.6, 1.0), st.sampled_from(["left", "right"]))
@settings(max_examples=40, deadline=None)
def test_the_second_look_is_well_aimed_and_believed(lean, zoom, side):
    joints_px = hand(lean, zoom)
    window = picture(joints_px)
    fed = window if side == "left" else window[:, ::-1]
    network = Palms()
    seen = SecondLookPredictor(network).windows([fed], [side])
    again = len(network.windows) > 1
    assert again or abs(lean) < 0.3
    wanted = joints_px if side == "left" else joints_px * (-1, 1) + (SIZE - 1, 0)
    np.testing.assert_allclose(seen.joints_px[0], wanted, atol=2.0)
    arm = wanted[M0] - wanted[WRIST]
    np.testing.assert_allclose(seen.joints_rel[0, WRIST, :2], -arm / np.linalg.norm(arm), atol=0.06)
    np.testing.assert_allclose(seen.joints_rel[0, :, 2], 1)
    assert (seen.confidence > 0.6).all(), "sure, as it saw the hand upright in the end"
    if again:  # as crops are aimed: upright, in the middle, with the usual margin
        last = Palms()._joints(network.windows[1])
        upright = last[M0] - last[WRIST]
        assert abs(np.arctan2(upright[0], -upright[1])) < 0.1
        np.testing.assert_allclose((last.min(0) + last.max(0)) / 2, (SIZE - 1) / 2, atol=4)
        assert np.ptp(last, axis=0).max() == pytest.approx(SIZE / 1.5, rel=0.1)


def test_of_several_windows_only_those_change():
    windows = [picture(hand(turn)) for turn in (0.0, 2.0, 0.1)]
    network = Palms()
    plain, seen = (
        Predictor(network).windows(windows, ["left"] * 3),
        SecondLookPredictor(network).windows(windows, ["left"] * 3),
    )
    assert len(network.windows) == 3 + 4
    for name, values in vars(seen).items():
        np.testing.assert_array_equal(values[[0, 2]], getattr(plain, name)[[0, 2]])
    assert (seen.confidence[1] > plain.confidence[1]).all()


def test_a_mirrored_window_gives_the_mirrored_answer_though_it_is_looked_at_again():
    window, predictor = picture(hand(1.9)), SecondLookPredictor(Palms())
    one, other = predictor.windows([window], ["left"]), predictor.windows([window[:, ::-1]], ["right"])
    np.testing.assert_allclose(other.joints_px * (-1, 1) + (SIZE - 1, 0), one.joints_px, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(other.joints_rel * (-1, 1, 1), one.joints_rel)


def test_copies_come_back():
    linear = 1.2 * plane_rotation(0.4)
    copies = np.array([np.column_stack([linear, 64 - linear @ (66, 60)]), np.eye(2, 3)])
    windows = np.stack([picture(hand(0.2)), picture(hand(-0.4))])
    straight = Predictor(Palms()).left_hands(windows)
    seen = carried_back(Predictor(Palms()).left_hands(altered(windows, copies)), copies)
    np.testing.assert_allclose(seen.joints_px, straight.joints_px, atol=0.7)
    np.testing.assert_allclose(seen.joints_rel, straight.joints_rel, atol=0.05)
    np.testing.assert_allclose(
        seen.sigma_px[0] * 1.2, Predictor(Palms()).left_hands(altered(windows, copies)).sigma_px[0]
    )
    np.testing.assert_array_equal(seen.sigma_px[1], straight.sigma_px[1])
