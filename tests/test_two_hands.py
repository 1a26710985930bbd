"""Pictures of one hand and of two: MPJPE apart, MRRPE and handedness, against a count hand by hand."""

from dataclasses import replace

import numpy as np
import pytest
from test_measure import SIZE, Knowing, two_hands

from handpose.skeleton import WRIST
from regnet.labelled import cut
from regnet.measure import measure
from regnet.predictor import Predictor
from regnet.protocols import PROTOCOLS
from regnet.two_hands import HandInPicture, handedness, two_hand_scores


def hands_of(seed=0, pictures=9):
    """Pictures of a right hand, of a left one, and of both; some joints and wrists are not known."""
    rng = np.random.default_rng(seed)
    hands = []
    for number in range(pictures):
        for side in (("right",), ("left",), ("right", "left"))[number % 3]:
            truth = rng.normal(0, 40, (21, 3)) + (0, 0, 500)
            predicted = truth + rng.normal(0, 15, truth.shape)
            truth[rng.random(21) < 0.2] = np.nan
            shown = (("right",), ("left",), ("right", "left"))[number % 3]
            hands.append(HandInPicture(f"{number}.jpg", side, shown, side, predicted, truth))
    hands[1].truth_mm[WRIST] = np.nan  # nothing is relative to it
    hands[2].truth_mm[WRIST] = hands[3].truth_mm[WRIST] = (10, 20, 480)
    return hands


def counted(hands, kinds):
    """Go through hands and joints as Moon et al. do: lists for 42 joints, the mean of their means."""
    lists = [[] for _ in range(42)]
    for hand in hands:
        if len(hand.sides_shown or ()) not in kinds or np.isnan(hand.truth_mm[0]).any():
            continue
        for joint in range(21):
            if not np.isnan(hand.truth_mm[joint]).any():
                off = (hand.predicted_mm[joint] - hand.predicted_mm[0]) - (hand.truth_mm[joint] - hand.truth_mm[0])
                lists[joint + 21 * (hand.side == "left")].append(float(np.sqrt((off**2).sum())))
    means = [sum(of) / len(of) for of in lists if of]
    return sum(means) / len(means)


def test_mpjpe_apart_agrees_with_a_count_joint_by_joint():
    hands = hands_of()
    hands.append(replace(hands[0], picture="unsure.jpg", sides_shown=None, predicted_mm=hands[0].predicted_mm * 1.1))
    scores = two_hand_scores(hands)
    kinds = {"mpjpe_all_mm": (0, 1, 2), "mpjpe_single_mm": (1,), "mpjpe_interacting_mm": (2,)}
    for key, of in kinds.items():
        assert scores[key].value == pytest.approx(counted(hands, of), abs=1e-6) and scores[key].unit == "mm"
        assert scores[key].alignment == "W aligned"
    assert len({scores[key].value for key in kinds}) == 3
    pooled = np.nanmean([np.linalg.norm(hand.predicted_mm - hand.truth_mm, axis=-1) for hand in hands])
    assert scores["mpjpe_all_mm"].value != pytest.approx(pooled, abs=1e-3)
    wristless = sum(np.isnan(hand.truth_mm[WRIST]).any() for hand in hands)
    assert scores["mpjpe_all_mm"].n == len(hands) - wristless > scores["mpjpe_single_mm"].n > 0 < wristless


def test_kinds_that_are_not_there_are_left_out():
    hands = [hand for hand in hands_of() if hand.sides_shown == ("right",)]
    assert set(two_hand_scores(hands)) == {"mpjpe_all_mm", "mpjpe_single_mm"}


def test_mrrpe_is_the_error_of_the_way_from_wrist_to_wrist():
    truth = np.zeros((2, 2, 21, 3))
    truth[:, :, WRIST] = [[[10.0, 0, 500], [110, 0, 520]], [[0, 0, 600], [90, 20, 600]]]
    predicted = truth + (30, -40, 200)  # both hands alike: no error
    predicted[0, 1] += (3, 4, 0)
    both = ("right", "left")
    hands = [
        HandInPicture(str(n), both[k], both, both[k], predicted[n, k], truth[n, k]) for n in (0, 1) for k in (0, 1)
    ]
    score = two_hand_scores(hands)["mrrpe_mm"]
    assert score.value == pytest.approx(2.5) and score.n == 2 and score.alignment == "left W relative to right W"
    truth[1, 0, WRIST] = np.nan
    assert two_hand_scores(hands)["mrrpe_mm"].n == 1


@pytest.mark.parametrize(
    ("shown", "told", "right"),
    [
        (("right",), ("right",), True),
        (("right",), ("left",), False),
        (("right",), (None,), False),
        (("left",), ("left",), True),
        (("right", "left"), ("right", "left"), True),
        (("right", "left"), ("left", "right"), True),  # swapped: yet both are there
        (("right", "left"), ("left", "left"), False),
        (("right", "left"), ("right", None), False),
        (("right", "left"), ("right",), None),  # one of the two was not looked at
        (None, ("right",), None),
    ],
)
def test_a_picture_counts_right_if_both_presences_are(shown, told, right):
    joints = np.zeros((21, 3))
    sides = shown or ("right",)
    hands = [HandInPicture("a.jpg", side, shown, tells, joints, joints) for side, tells in zip(sides, told)]
    assert handedness(hands) == ((0, 0) if right is None else (int(right), 1))


class Sided(Knowing):
    """Tells hands apart that are listed as left ones; `blind` sees none at all."""

    def __init__(self, windows, left, blind=()):
        super().__init__(windows)
        self.answers = {}
        for window in windows:
            for image, chance in (
                (window.image, window.name in left),
                (window.image[:, ::-1], window.name not in left),
            ):
                self.answers[image.tobytes()] = (float(chance), float(window.name not in blind))

    def __call__(self, images):
        answers = np.array([self.answers[image.tobytes()] for image in images])
        return super().__call__(images) | {"left": answers[:, :1], "presence": answers[:, 1:]}


def test_a_picture_is_told_without_its_labelled_sides():
    samples = [replace(s, sides_shown=("right", "left")) for seed in range(4) for s in two_hands(seed)]
    windows = [cut(sample, SIZE) for sample in samples]
    truly_left = {window.name for window in windows if window.side == "left"}

    agreeing = measure(Predictor(Knowing(windows)), windows, PROTOCOLS["interhand"]).figures
    assert agreeing["handedness_accuracy"] == 0, "it calls each hand what it is shown as"

    def measured(left, blind=()):
        figures = measure(Predictor(Sided(windows, left, blind)), windows, PROTOCOLS["interhand"]).figures
        return figures["handedness_accuracy"], figures["handedness_pictures"]

    assert measured(truly_left) == (1, 4)
    assert measured({window.name for window in windows}) == (0, 4), "all told to be left"
    assert measured(truly_left - {windows[1].name}) == (0.75, 4)
    assert measured(truly_left, {windows[0].name, windows[2].name}) == (0.5, 4)
