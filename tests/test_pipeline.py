"""The tracker around a RegNet and a detector that know the truth: poses, identity, sides, states, and how often each is asked."""

from dataclasses import replace

import numpy as np
import pytest
from tracker_fakes import CAMERA, FPS, Hand, World, moving_hand

from handpose.camera import Camera
from handpose.errors import HandposeError
from handpose.kinematics import forward_kinematics
from handpose.skeleton import Skeleton
from tracker import HandTracker, State
from tracker.recognise import on_one_hand


def tracked(world, frames, hands=1, **options):
    """Track frames; one list of hands for each."""
    tracker = HandTracker(CAMERA, hands, predictor=world, detector=world.detector, **options)
    return [tracker(world.frame(i), i / FPS) for i in frames]


@pytest.mark.parametrize("speed_mm_s", [0.0, 150.0, 600.0])
def test_what_the_filter_trails_is_expected_as_an_error(speed_mm_s):
    """The fit knows where the hand is; what is given trails it, and says by how much."""
    world = World([Hand("left", lambda i: moving_hand(i, -150.0, speed_mm_s))])
    for index, (hand,) in list(enumerate(tracked(world, range(16))))[8:]:
        away = hand.joints_mm - world.hands[0].joints_mm(index)
        across = np.linalg.norm(away[:, :2], axis=-1).mean()
        assert 0.3 * across < np.sqrt(2) * hand.sigma_mm[:, 0].mean() < max(3 * across, 4.0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_known_hand_is_recovered_in_millimetres(side):
    world = World([Hand(side, moving_hand)])
    results = tracked(world, range(60))
    assert all(len(hands) == 1 for hands in results)
    assert {(hand.id, hand.side, hand.state) for (hand,) in results} == {(1, side, State.TRACKED)}
    errors = [
        np.linalg.norm(hands[0].joints_mm - world.hands[0].joints_mm(i), axis=-1).mean()
        for i, hands in enumerate(results)
    ]
    assert np.median(errors) < 8  # the filter trails by some 60 ms
    assert errors[0] < 3


def test_a_hand_has_all_fields_and_its_pose_gives_its_joints():
    world = World([Hand("right", moving_hand)])
    hand = tracked(world, range(8))[-1][0]
    shapes = {"joints_px": (21, 2), "joints_mm": (21, 3), "confidence": (21,), "sigma_mm": (21, 2),
              "wrist_translation_mm": (3,), "wrist_rotation_rad": (3,), "angles_rad": (20,)}  # fmt: skip
    for name, shape in shapes.items():
        assert getattr(hand, name).shape == shape
        assert np.isfinite(getattr(hand, name)).all()
    assert 0 < hand.score <= 1
    vector = np.concatenate([hand.wrist_translation_mm, hand.wrist_rotation_rad, hand.angles_rad])
    np.testing.assert_allclose(forward_kinematics(Skeleton.default("right"), vector), hand.joints_mm, atol=1e-6)


def test_a_hidden_hand_is_predicted_then_lost_and_comes_back_as_the_same():
    world = World([Hand("left", moving_hand)], hidden={*range(20, 26), *range(40, 75)})
    results = tracked(world, range(90))
    states = [[hand.state for hand in hands] for hands in results]
    assert all(state == [State.PREDICTED] for state in states[20:26])
    assert states[26] == [State.TRACKED]
    assert states[41] == [State.PREDICTED]
    assert states[60] == []
    assert states[75] == [State.TRACKED]
    assert {hand.id for hands in results for hand in hands} == {1}
    error = np.linalg.norm(results[23][0].joints_mm - world.hands[0].joints_mm(23), axis=-1).mean()
    assert error < 25
    seen, carried = results[18][0], results[24][0]
    assert carried.confidence.max() < seen.confidence.min()
    assert carried.sigma_mm.mean() > seen.sigma_mm.mean()
    np.testing.assert_allclose(carried.joints_px, CAMERA.project(carried.joints_mm), atol=1e-6)


@pytest.mark.parametrize("hidden", [set(), set(range(14, 20))])
def test_a_hand_that_leaps_is_at_once_where_it_is_seen(hidden):
    """RegNet does not see it where it was expected, and the detector finds it: no filter may hold it back."""
    world = World([Hand("left", lambda i: moving_hand(0, 150.0 if i < 20 else -150.0))], hidden=hidden)
    results = tracked(world, range(24))
    for i in range(20, 24):
        (hand,) = results[i]
        assert (hand.id, hand.state) == (1, State.TRACKED)
        assert np.linalg.norm(hand.joints_mm - world.hands[0].joints_mm(i), axis=-1).mean() < 12
        assert np.linalg.norm(hand.joints_px - CAMERA.project(hand.joints_mm), axis=-1).max() < 10


def test_a_user_may_change_the_arrays_of_a_hand():
    world = World([Hand("left", moving_hand)])
    trackers = [HandTracker(CAMERA, 1, predictor=world, detector=world.detector) for _ in range(2)]
    for i in range(6):
        changed, kept = (tracker(world.frame(i), i / FPS)[0] for tracker in trackers)
        for name in ("joints_px", "joints_mm", "sigma_mm", "confidence", "angles_rad"):
            np.testing.assert_array_equal(getattr(changed, name), getattr(kept, name))
            getattr(changed, name)[:] = 7.0


class Placeless(World):
    """In the frames `broken`, RegNet is sure of a hand, but its joints place none."""

    broken: tuple[int, ...] = ()

    def __call__(self, image, crops, sides):
        answers = super().__call__(image, crops, sides)
        if self.crops_fed[-1][0] in self.broken:
            return [replace(answer, joints_rel=np.full((21, 3), np.nan)) for answer in answers]
        return answers


def test_a_sure_answer_that_places_no_hand_is_no_sight():
    world = Placeless([Hand("left", moving_hand)])
    world.broken = (20, 21)
    states = [hands[0].state for hands in tracked(world, range(24))]
    assert states == [State.TRACKED] * 20 + [State.PREDICTED] * 2 + [State.TRACKED] * 2


def test_a_hand_is_not_begun_by_an_answer_that_places_none():
    world = Placeless([Hand("left", moving_hand)])
    world.broken = (0, 1, 2)
    tracker = HandTracker(CAMERA, 1, predictor=world, detector=world.detector)
    assert tracker.picture(world.frame(0)) == []
    assert [len(tracker(world.frame(i), i / FPS)) for i in range(3)] == [0] * 3
    (hand,) = tracker(world.frame(3), 3 / FPS)
    assert (hand.id, hand.state) == (1, State.TRACKED)
    assert np.linalg.norm(hand.joints_mm - world.hands[0].joints_mm(3), axis=-1).mean() < 3


def test_a_side_that_turns_and_a_hand_that_returns_begin_with_an_answer_that_places_them():
    """Until then the hand goes on as it was, or stays away; a hand nobody saw is never shown."""
    world = Placeless([Hand("right", lambda i: moving_hand(i, 0, 30), seems_left=lambda i: 0.85 if i < 2 else 0.1)])
    turned = next(i for i, (hand,) in enumerate(tracked(world, range(12))) if hand.side == "right")
    world.broken = (turned,)
    for i, (hand,) in enumerate(tracked(world, range(turned + 4))):
        assert hand.side == ("right" if i > turned else "left")
        assert np.linalg.norm(hand.joints_mm[0] - world.hands[0].joints_mm(i)[0]) < 60
    world = Placeless([Hand("left", moving_hand)], hidden=set(range(10, 40)))
    world.broken = (40, 41)
    results = tracked(world, range(44))
    assert [len(hands) for hands in results[38:]] == [0] * 4 + [1] * 2
    assert {hand.id for hands in results for hand in hands} == {1}


def test_a_time_that_goes_back_begins_anew():
    world = World([Hand("left", lambda i: moving_hand(i, speed_mm_s=120))])
    tracker = HandTracker(CAMERA, 1, predictor=world, detector=world.detector)
    first, second = ([tracker(world.frame(i), i / FPS)[0] for i in range(40)] for _ in range(2))
    for once, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(once.joints_mm, again.joints_mm)


def test_a_hand_that_returns_much_later_is_a_new_one():
    world = World([Hand("left", moving_hand)], hidden=set(range(10, 120)))
    results = tracked(world, range(125))
    assert results[5][0].id == 1
    assert results[124][0].id == 2


def test_a_hand_whose_first_looks_mislead_on_its_return_is_known_again():
    """At a picture's edge half a hand is seen, and may look like the other side's."""
    hand = Hand("right", moving_hand, seems_left=lambda i: 0.9 if 50 <= i < 53 else 0.1)
    results = tracked(World([hand], hidden=set(range(20, 50))), range(70), hands=2)
    assert [(one.id, one.side) for hands in results[50:52] for one in hands] == [(2, "left")] * 2
    assert {(one.id, one.side) for hands in results[58:] for one in hands} == {(1, "right")}


def test_a_hand_known_again_keeps_its_number_where_two_were_lost():
    """Two left hands leave, and one comes back that looks right at first: it is one of them, and from then on that one."""
    leaving = Hand("left", lambda i: moving_hand(i, -140, 0) if i < 20 else None)
    back = Hand(
        "left", lambda i: None if 20 <= i < 50 else moving_hand(i, 140, 0), lambda i: 0.1 if 50 <= i < 56 else 0.9
    )
    results = tracked(World([leaving, back]), range(90), hands=2)
    assert len(results[15]) == 2
    numbers = [hand.id for hands in results[50:] for hand in hands]
    assert numbers[0] == 3 and len(set(numbers)) == 2 and numbers == sorted(numbers, reverse=True)


def test_another_hand_does_not_take_the_place_of_one_that_was_there_with_it():
    """The left hand was seen beside the right one, which leaves; that its side is told wrongly from then on changes no number."""
    right = Hand("right", lambda i: moving_hand(i, -140, 0) if i < 40 else None)
    left = Hand("left", lambda i: moving_hand(i, 140, 0), seems_left=lambda i: 0.55 if i < 60 else 0.02)
    results = tracked(World([right, left]), range(120), hands=2)
    numbers = {hand.side: hand.id for hand in results[30]}
    assert {hand.id for hands in results[62:] for hand in hands} == {numbers["left"]}
    assert results[-1][0].side == "right", "which was told for long enough"


def test_two_hands_keep_their_numbers_and_sides():
    def right(i):
        return moving_hand(i, -140, 0)

    def left(i):
        return moving_hand(i, 140, 0) if 5 <= i < 60 else None

    results = tracked(World([Hand("right", right), Hand("left", left)]), range(100), hands=2)
    assert {(hand.id, hand.side) for hands in results for hand in hands} == {(1, "right"), (2, "left")}
    assert [len(hands) for hands in results[:5]] == [1] * 5
    assert all(len(hands) == 2 for hands in results[16:60])
    assert all(len(hands) == 1 for hands in results[80:])


def test_at_most_the_hands_asked_for():
    hands = [Hand("right", lambda i: moving_hand(i, -140, 0)), Hand("left", lambda i: moving_hand(i, 140, 0))]
    assert all(len(found) == 1 for found in tracked(World(hands), range(30), hands=1))


def test_two_tracks_never_stay_on_one_hand():
    """The second hand goes behind the first and does not come out: its track must not settle on the other."""

    def second(i):
        return moving_hand(0, max(150 - 10 * i, 0), 0) if i < 16 else None

    world = World([Hand("left", lambda i: moving_hand(0, 0, 0)), Hand("left", second)])
    results = tracked(world, range(60), hands=2)
    assert len(results[3]) == 2
    for hands in results[25:]:
        assert [hand.id for hand in hands] == [1]


def test_neighbours_are_told_apart_in_squeezed_frames():
    """Hands 80 mm apart, in frames of 16:9 that are stored as squares."""
    squeezed = CAMERA.scaled_to((270, 480))
    a, b = (forward_kinematics(Skeleton.default("left"), moving_hand(0, x, 0)) for x in (-60.0, 20.0))
    for camera in (CAMERA, squeezed):
        assert not on_one_hand(camera.project(a), camera.project(b), camera)
        assert on_one_hand(camera.project(a), camera.project(a + (15, 0, 0)), camera)


def test_frames_of_another_size_begin_anew_though_the_hand_is_away():
    world = World([Hand("left", moving_hand)], hidden=set(range(20, 45)))
    large = replace(world, size_px=(1280, 960))
    tracker = HandTracker(predictor=world, detector=world.detector)
    for index in range(45):
        tracker(world.frame(index), index / FPS)
    assert not tracker._tracks and tracker._lost
    tracker(large.frame(44), 45 / FPS)
    assert not tracker._lost


class Hiding(World):
    """The nearer hand hides the other one where it covers most of it."""

    def _joints_px(self, hand, index):
        nearest = min(self.hands, key=lambda one: one.pose(index)[2])
        joints = super()._joints_px(hand, index)
        if hand is not nearest:
            before = super()._joints_px(nearest, index)
            if ((joints > before.min(0)) & (joints < before.max(0))).all(-1).mean() > 0.6:
                return None
        return joints


@pytest.mark.parametrize("speed_mm_s", [100.0, 200.0, 400.0])
def test_a_hand_that_passes_before_another_keeps_its_side(speed_mm_s):
    """For a moment both tracks sit on it, and the one that stays may be the other hand's: its side shows anew, not in seconds."""

    def crossing(start_mm, depth_mm):
        def pose(i):
            way = min(speed_mm_s * i / FPS, 2 * abs(start_mm))
            return np.r_[start_mm - np.sign(start_mm) * way, 60.0, depth_mm, moving_hand(0)[3:]]

        return pose

    hands = {"left": Hand("left", crossing(-200.0, 520.0)), "right": Hand("right", crossing(200.0, 430.0))}
    count = round(400 / speed_mm_s * FPS) + 45
    results = tracked(Hiding([*hands.values()]), range(count), hands=2)
    wrong = 0
    for index, found in enumerate(results):
        for hand in found:
            away = {side: np.linalg.norm(hand.joints_mm - one.joints_mm(index)) for side, one in hands.items()}
            wrong += hand.state is State.TRACKED and min(away, key=away.get) != hand.side
    assert wrong < 12 and len(results[-1]) == 2


def test_the_side_is_the_vote_of_the_whole_track():
    """Three frames in ten are wrong, the first ones among them: the side settles on the right one and stays."""

    def opinion(i):
        return 0.85 if i < 2 or i % 10 in (3, 7) else 0.1

    world = World([Hand("right", lambda i: moving_hand(i, 0, 30), seems_left=opinion)])
    results = tracked(world, range(80))
    sides = [hands[0].side for hands in results]
    assert sides[0] == "left"
    assert set(sides[12:]) == {"right"}
    assert {hands[0].id for hands in results} == {1}
    late = [
        np.linalg.norm(results[i][0].joints_mm - world.hands[0].joints_mm(i), axis=-1).mean() for i in range(40, 80)
    ]
    assert np.median(late) < 6


def test_two_wrong_seconds_do_not_turn_a_side_that_was_right_for_five():
    world = World([Hand("right", lambda i: moving_hand(i, 0, 10), seems_left=lambda i: 0.95 if i >= 150 else 0.1)])
    assert {hands[0].side for hands in tracked(world, range(210))} == {"right"}


def test_a_given_side_is_not_voted_on():
    world = World([Hand("right", moving_hand, seems_left=lambda i: 0.99)])
    assert {hands[0].side for hands in tracked(world, range(20), side="right")} == {"right"}


def test_the_detector_rests_while_hands_are_tracked():
    world = World([Hand("right", lambda i: moving_hand(i, 0, 20))])
    tracked(world, range(60), hands=1)
    assert set(world.detections) == {0}
    world.detections.clear()
    tracked(world, range(60), hands=2)
    assert 3 <= len(world.detections) <= 7


def test_regnet_is_mostly_asked_once_per_frame():
    world = World([Hand("right", lambda i: moving_hand(i, 0, 20))])
    tracked(world, range(100), hands=1)
    crops = [sum(n for index, n in world.crops_fed if index == i) for i in range(1, 100)]
    assert np.median(crops) == 1
    assert np.mean(crops) < 1.4


def test_no_hand_no_rows_and_no_error():
    assert tracked(World([]), range(5), hands=2) == [[]] * 5


def test_a_picture_is_on_its_own_and_unfiltered():
    hands = [Hand("right", lambda i: moving_hand(i, -140, 0)), Hand("left", lambda i: moving_hand(i, 140, 0))]
    world = World(hands)
    tracker = HandTracker(CAMERA, 2, predictor=world, detector=world.detector)
    for index in (0, 40):
        found = tracker.picture(world.frame(index))
        assert [hand.id for hand in found] == [1, 2]
        for hand in found:
            truth = next(one for one in hands if one.side == hand.side)
            np.testing.assert_allclose(hand.joints_px, CAMERA.project(truth.joints_mm(index)), atol=1e-9)
    world.hidden.add(41)
    assert tracker(world.frame(41), 0.1) == [], "a clip that follows begins without them"


def test_a_mirrored_feed_is_turned_back_first():
    class Watching(World):
        def __call__(self, image, crops, sides):
            self.corner = image[0, 5].copy()
            return super().__call__(image, crops, sides)

    world = Watching([Hand("right", moving_hand)])
    frame = world.frame(0)
    frame[0, -6] = (0, 0, 77)
    tracker = HandTracker(CAMERA, 1, mirrored=True, predictor=world, detector=world.detector)
    assert tracker(frame, 0.0)[0].side == "right"
    np.testing.assert_array_equal(world.corner, (0, 0, 77))


def test_the_camera_follows_the_size_of_the_frames():
    world = World([])
    tracker = HandTracker(CAMERA, predictor=world, detector=world.detector)
    assert tracker.camera_for((1280, 960)).fx == pytest.approx(1200)
    with pytest.raises(HandposeError, match="640x480"):
        tracker(np.zeros((480, 480, 3), np.uint8), 0.0)
    free = HandTracker(predictor=world, detector=world.detector, fov_deg=90)
    assert free.camera_for((200, 100)).fx == pytest.approx(100)
    assert HandTracker(predictor=world, detector=world.detector).camera_for((200, 100)) == Camera.from_fov((200, 100))


@pytest.mark.parametrize("options", [{"hands": 0}, {"side": "both"}, {"fov_deg": 0.0}, {"fov_deg": 180.0}])
def test_options_that_make_no_sense_are_told(options):
    world = World([])
    with pytest.raises(HandposeError):
        HandTracker(predictor=world, detector=world.detector, **options)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((48, 64, 3)),
        np.zeros((0, 0, 3), np.uint8),
        None,
    ],
)
def test_frames_of_another_kind_are_told(frame):
    """None is what OpenCV gives for a frame that cannot be read."""
    world = World([])
    with pytest.raises(HandposeError, match="RGB uint8"):
        HandTracker(predictor=world, detector=world.detector)(frame, 0.0)
