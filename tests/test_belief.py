"""A hand whose side is known is not believed to be the other hand for some frames."""

from dataclasses import replace

import numpy as np
import pytest
from tracker_fakes import CAMERA, FPS, Hand, World, moving_hand

from handpose.crop import Crop
from tracker.belief import Belief
from tracker.pipeline import HandTracker

# A mirror image of the palm: thumb and little finger, index and ring finger exchange their names.
REVERSED = np.r_[0, 17:21, 13:17, 9:13, 5:9, 1:5]
TURNED = (0.3, 0.6)  # roll of the two crops [rad]


def look(index: int, left: float = 0.1, roll: float = 0.0):
    """What RegNet says of the right hand of frame `index`, and its crop."""
    hand = Hand("right", moving_hand, lambda i: left)
    joints_px = CAMERA.project(hand.joints_mm(index))
    crop = Crop.from_box(CAMERA, joints_px.mean(0), 200.0, roll)
    world = World([hand])
    return world(world.frame(index), [crop], ["right"])[0], crop


def reversed_names(prediction):
    return replace(
        prediction, joints_px=prediction.joints_px[REVERSED], joints_rel=prediction.joints_rel[REVERSED], left=0.8
    )


def test_fingers_named_in_reverse_are_not_believed_and_follow_the_palm():
    belief = Belief()
    before, crop = look(0, roll=TURNED[0])
    assert belief(before, crop, "right", 0.0) is before
    now, next_crop = look(6, roll=TURNED[1])
    believed = belief(reversed_names(now), next_crop, "right", 0.2)
    palm, held = [0, 1, 5, 9, 13, 17], np.arange(21) != REVERSED
    assert np.linalg.norm(before.joints_px - now.joints_px, axis=-1)[palm].min() > 8, "the hand has moved"
    assert np.linalg.norm(believed.joints_px - now.joints_px, axis=-1)[palm].max() < 1
    in_camera = [one.joints_rel @ of.camera_from_crop.T for one, of in ((before, crop), (believed, next_crop))]
    assert in_camera[0][held] == pytest.approx(in_camera[1][held], abs=1e-12)
    assert believed.joints_rel[~held] == pytest.approx(now.joints_rel[~held], abs=1e-12)
    assert believed.confidence == pytest.approx(np.where(held, 0.5, 1) * before.confidence)


def test_a_joint_that_leaps_by_itself_is_held_and_the_others_are_seen():
    belief = Belief()
    before, crop = look(0)
    belief(before, crop, "right", 0.0)
    now, crop = look(2)
    tip_astray = now.joints_px + 80 * (np.arange(21) == 4)[:, None]
    believed = belief(replace(now, joints_px=tip_astray, left=0.8), crop, "right", 0.1)
    assert np.linalg.norm(believed.joints_px - now.joints_px, axis=-1)[4] < 10
    assert np.delete(believed.joints_px, 4, 0).tolist() == np.delete(now.joints_px, 4, 0).tolist()


def test_joints_are_held_for_half_a_second_and_as_sure_all_the_while():
    belief = Belief()
    before, crop = look(0)
    belief(before, crop, "right", 0.0)
    answer = reversed_names(before)
    for time_s in (0.2, 0.4):
        believed = belief(answer, crop, "right", time_s)
        assert believed.joints_px == pytest.approx(before.joints_px)
        assert believed.confidence[4] == pytest.approx(before.confidence[4] / 2)
    assert belief(answer, crop, "right", 0.51) is answer


@pytest.mark.parametrize(
    ("left", "side", "time_s", "reverse"),
    [(0.1, "right", 0.1, True), (0.8, "right", 0.1, False), (0.8, "right", 0.6, True), (0.2, "left", 0.1, True)],
    ids=["RegNet is sure of the side", "the hand does not leap", "it has looked so for long", "the side has turned"],
)
def test_all_else_is_believed(left, side, time_s, reverse):
    belief = Belief()
    belief(*look(0), "right", 0.0)
    now, crop = look(2)
    answer = replace(reversed_names(now) if reverse else now, left=left)
    assert belief(answer, crop, side, time_s) is answer


def test_a_hand_that_was_lost_is_believed_anew():
    belief = Belief()
    belief(*look(0), "right", 0.0)
    belief.forget()
    now, crop = look(2)
    answer = reversed_names(now)
    assert belief(answer, crop, "right", 0.1) is answer


class Misreading(World):
    """Takes the hand for the other one in some frames."""

    misread = range(40, 52)

    def _seen(self, index, crop):
        prediction = super()._seen(index, crop)
        return reversed_names(prediction) if index in self.misread else prediction


@pytest.mark.parametrize(
    ("longest_s", "low_mm", "high_mm"), [(0.5, 0, 25), (0.0, 35, 1000)], ids=["as it is", "without"]
)
def test_a_tracked_hand_keeps_its_fingers_while_it_is_misread(longest_s, low_mm, high_mm, monkeypatch):
    monkeypatch.setattr("tracker.belief._LONGEST_S", longest_s)
    world = Misreading([Hand("right", lambda i: moving_hand(i, 0, 30))])
    track = HandTracker(camera=CAMERA, hands=1, predictor=world, detector=world.detector)
    errors = []
    for i in range(70):
        (hand,) = track(world.frame(i), i / FPS)
        assert hand.side == "right"
        errors.append(np.linalg.norm(hand.joints_mm - world.hands[0].joints_mm(i), axis=-1).mean())
    assert low_mm < max(errors[40:52]) < high_mm
    assert np.median(errors[60:]) < 8
