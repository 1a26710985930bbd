"""Where the detector looks, what counts as found, and the vote on the side."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.prediction import Prediction
from tracker import aim
from tracker.aim import found_score, hand_score
from tracker.detector import Detection, without_doubles
from tracker.recognise import recognise
from tracker.search import fine_parts_of, look_everywhere, look_in_part, parts_of
from tracker.side import SideVote


def bright_spots(image, largest_px=400):
    """A detector of single bright pixels, which sees them only where the picture is small: one in 400 px and no more."""
    if max(image.shape[:2]) > largest_px:
        return []
    rows, columns = np.nonzero(image[..., 0] > 200)
    return [Detection(np.array([x, y], float), 30.0, 0.0, 0.5, 0.9) for x, y in zip(columns, rows, strict=True)]


@pytest.mark.parametrize("spot", [(10, 20), (300, 60), (590, 30), (20, 450), (600, 470), (320, 240)])
def test_small_hands_are_found_in_parts_at_their_place_in_the_frame(spot):
    image = np.zeros((480, 640, 3), np.uint8)
    image[spot[1], spot[0]] = 255
    assert bright_spots(image) == []
    (found,) = look_everywhere(image, bright_spots)
    np.testing.assert_array_equal(found.centre_px, spot)


def test_what_is_seen_in_the_mirror_too_counts_twice():
    def one_sided(image):
        """Sees the spot where it is, and another one that is not there in the picture that is not mirrored."""
        found = bright_spots(image)
        return found + [Detection(np.array([30.0, 30.0]), 30.0, 0.3, 0.9, 0.8)] if image[0, 0, 0] else found

    image = np.zeros((200, 240, 3), np.uint8)
    image[120, 200] = 255
    image[0, 0] = 1
    (both,) = look_everywhere(image[:, 1:], bright_spots)
    assert both.score == pytest.approx(0.9) and both.centre_px.tolist() == [199, 120]
    best, doubtful = look_everywhere(image, one_sided)
    assert best.score == pytest.approx(0.9)
    assert doubtful.score == pytest.approx(0.4) and doubtful.roll_rad == pytest.approx(0.3)


@pytest.mark.parametrize("parts", [parts_of, fine_parts_of])
def test_the_parts_cover_the_frame_and_small_frames_have_none(parts):
    image = np.zeros((701, 1103, 3), np.uint8)
    seen = np.zeros(image.shape[:2], bool)
    for part in parts(image):
        assert not seen[part].all(), "no part is in vain"
        seen[part] = True
    assert seen.all()
    assert parts(np.zeros((192, 192, 3), np.uint8)) == []


def test_a_hand_of_a_thirtieth_of_a_large_picture_is_found_in_its_fine_parts():
    image = np.zeros((720, 1280, 3), np.uint8)
    image[600, 640] = 255
    (found,) = look_everywhere(image, partial(bright_spots, largest_px=470))
    np.testing.assert_array_equal(found.centre_px, (640, 600))


@pytest.mark.parametrize("shape", [(1, 300, 3), (300, 1, 3)])
def test_a_frame_of_one_row_has_parts_of_one(shape):
    seen = []

    def watch(image):
        seen.append(image.shape)
        return []

    look_everywhere(np.zeros(shape, np.uint8), watch)
    assert len(seen) == 10 and all(min(part[:2]) == 1 for part in seen)


def test_a_hand_as_large_as_a_part_is_left_to_the_whole_frame():
    def large(image):
        return [Detection(np.array([50.0, 50.0]), 0.8 * min(image.shape[:2]), 0.0, 0.5, 0.9)]

    image = np.zeros((480, 640, 3), np.uint8)
    assert look_in_part(image, large, parts_of(image)[0]) == []


def test_the_best_of_doubles_is_kept():
    def at(x, score):
        return Detection(np.array([x, 0.0]), 100.0, 0.0, 0.5, score)

    assert [one.score for one in without_doubles([at(0, 0.4), at(20, 0.9), at(200, 0.3)])] == [0.9, 0.3]


def seen(presence, confidence):
    return Prediction(np.zeros((21, 2)), np.ones(21), np.zeros((21, 3)), np.full(21, confidence), presence, 0.5)


def test_detector_and_presence_count_for_finding_a_hand_and_no_opinion_against(monkeypatch):
    sure = found_score(0.8, seen(0.99, 0.85))
    assert sure > 0.7
    assert found_score(0.2, seen(0.6, 0.2)) < 0.05
    for weaker in (found_score(0.3, seen(0.99, 0.85)), found_score(0.8, seen(0.5, 0.85))):
        assert weaker < sure
    assert found_score(0.8, seen(0.99, 0.4)) <= sure, "how sure joints are may tell nothing beside the two"
    monkeypatch.setattr(aim, "_FOUND_WEIGHTS", np.array([0.8, 1.3, 0.1]))
    assert found_score(0.8, seen(0.99, 0.4)) < found_score(0.8, seen(0.99, 0.85)), "and counts where it tells some"
    for extreme in (found_score(0.0, seen(0.0, 0.0)), found_score(1.0, seen(1.0, 1.0))):
        assert 0 <= extreme <= 1
    assert hand_score(seen(1.0, 0.0)) == hand_score(seen(0.0, 1.0)) == 0


def test_no_single_opinion_decides_and_a_long_vote_can_still_turn():
    vote = SideVote()
    vote.add(1.0)
    assert vote.side == "left"
    assert not vote.settled
    for _ in range(20):
        vote.add(0.9)
    assert vote.settled
    count = 0
    while vote.side == "left":
        vote.add(0.05)
        count += 1
    assert 8 < count < 30


def test_looks_at_one_picture_have_their_sum_and_later_frames_have_to_be_clear():
    """A side that is told first must not hold on against better looks at the same picture."""
    vote = SideVote()
    for left in (0.75, 0.4, 0.2):
        vote.add(left)
    assert vote.side == "right"
    vote.temper()
    vote.add(0.85)
    assert vote.side == "right", "in sum it leads to the left now, but hardly"
    vote.add(0.85)
    assert vote.side == "left"


def test_the_detector_has_little_to_say_in_the_side():
    camera = Camera.from_fov((640, 480))
    crop = Crop.from_box(camera, np.array([320.0, 240.0]), 100.0)

    def predictor(image, crops, sides):
        return [replace(seen(0.99, 0.9), left=0.25) for _ in crops]

    found = Detection(crop.to_image(np.full(2, 63.5)), 70.0, 0.0, 0.99, 0.9)
    predictor.input_size = 128
    (sight,) = recognise(np.zeros((480, 640, 3), np.uint8), camera, [found], predictor, 1, sure=0.0)
    assert sight.vote.side == "right", "two looks against it"


def test_a_given_side_stays():
    vote = SideVote("right")
    for _ in range(50):
        vote.add(1.0)
    assert vote.side == "right"
    assert vote.settled
