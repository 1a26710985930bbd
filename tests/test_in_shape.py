"""Square pictures that were squeezed: the hands in them tell their shape."""

import dataclasses
import time
from functools import partial

import cv2
import numpy as np
import pytest
from tracker_fakes import Hand, World, moving_hand

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.data import photos
from tracker import HandTracker, cli
from tracker.detector import Detection
from tracker.in_shape import look_in_shape
from tracker.search import look_everywhere
from tracker.track_file import read_tracks

SQUARE = Camera.from_fov((480, 480))
MARGIN = 174  # px, above and below a picture of 448


def scaled(found: Detection, ratio: np.ndarray) -> Detection:
    centre_px = (found.centre_px + 0.5) * ratio - 0.5
    return dataclasses.replace(found, centre_px=centre_px, side_px=found.side_px * ratio.mean())


class KnowsShape(World):
    """Expects to be as wrong as the camera's pixels are far from those of a picture of `shape`; the detector sees whole pictures alone."""

    shape = 1.0

    def detector(self, image):
        ratio = np.array(image.shape[1::-1]) / self.size_px
        whole = ratio.max() == 1
        return [scaled(one, ratio) for one in super().detector(image)] if whole else []

    def __call__(self, image, crops, sides):
        off = [abs(np.log(crop.source.fy / crop.source.fx / self.shape)) for crop in crops]
        return [
            dataclasses.replace(seen, sigma_px=crop.side_px * (0.01 + 0.02 * far) * np.ones(21))
            for seen, crop, far in zip(super().__call__(image, crops, sides), crops, off, strict=True)
        ]


class MissedAsSquares(KnowsShape):
    """Whose detector sees no hand in a square."""

    def detector(self, image):
        return [] if image.shape[0] == image.shape[1] else super().detector(image)


def world_of(shape: float, count: int = 1, size_px=(480, 480), kind=KnowsShape) -> KnowsShape:
    """Hands that lie alike in the mirror, where the picture is looked at too."""
    middle_mm = (size_px[0] - 640) / 2 * 520 / 600
    places_mm = [middle_mm] if count == 1 else [middle_mm - 130, middle_mm + 130]
    world = kind([Hand("right", lambda i, x=x: moving_hand(i, x, 0)) for x in places_mm])
    world.shape, world.size_px = shape, size_px
    return world


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shape", [9 / 16, 2 / 3, 3 / 4, 1.0, 4 / 3, 3 / 2, 16 / 9])
def test_a_squeezed_picture_is_seen_in_its_shape(shape, count):
    world = world_of(shape, count)
    tracker = HandTracker(predictor=world, detector=world.detector)
    assert len(tracker.picture(world.frame(0))) == count
    assert tracker.frame_camera.fy / tracker.frame_camera.fx == pytest.approx(shape)
    assert max(tracker.frame_camera.size_px) == 480 and tracker.frame_camera.cx == pytest.approx(SQUARE.cx)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shape", [9 / 16, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 16 / 9])
def test_hands_that_are_missed_in_a_square_are_found_in_another_shape(shape, count):
    world = world_of(shape, count, kind=MissedAsSquares)
    tracker = HandTracker(predictor=world, detector=world.detector)
    hands = tracker.picture(world.frame(0))
    assert tracker.frame_camera.fy / tracker.frame_camera.fx == pytest.approx(shape)
    places = sorted(world._joints_px(hand, 0).mean(0).tolist() for hand in world.hands)
    np.testing.assert_allclose(sorted(hand.joints_px.mean(0).tolist() for hand in hands), places, atol=3)
    for known in ({"camera": SQUARE}, {"fov_deg": 60.0}):
        assert HandTracker(**known, predictor=world, detector=world.detector).picture(world.frame(0)) == []


def test_a_square_that_shows_no_hand_is_no_shape_to_choose():
    """Though hands are expected to be placed best in it; next to it come 4:3 and 3:4."""
    world = world_of(1.0, kind=MissedAsSquares)
    tracker = HandTracker(predictor=world, detector=world.detector)
    assert len(tracker.picture(world.frame(0))) == 1
    assert tracker.frame_camera.fy / tracker.frame_camera.fx == pytest.approx(4 / 3)


def test_comparing_shapes_counts_as_regnet_s_time():
    class Slow(KnowsShape):
        spent_ms = 0.0

        def __call__(self, *arguments):
            started = time.perf_counter()
            time.sleep(0.002)
            answers = super().__call__(*arguments)
            self.spent_ms += 1000 * (time.perf_counter() - started)
            return answers

    world = world_of(16 / 9, kind=Slow)
    tracker = HandTracker(predictor=world, detector=world.detector)
    assert tracker.picture(world.frame(0)) and tracker.stage_ms["regnet"] >= world.spent_ms > 0


@pytest.mark.parametrize("shape", [(9, 16), (3, 2), (16, 9)])
def test_a_crop_of_what_is_found_in_a_shape_is_that_of_the_picture_in_its_shape(shape):
    """Near the middle of the picture, where a lens spans lengths alike."""
    camera = Camera.from_fov(shape).scaled_to((480, 480))
    picture = np.zeros((480, 480, 3), np.uint8)
    picture[0, 0] = 255  # in the mirror it lies at the right
    sizes = []

    def detector(image):
        size = np.array(image.shape[1::-1])
        if size.max() < 480:
            return []  # a part
        sizes.append(tuple(size.tolist()))
        to_the_right = 1 if image[0, 0, 0] else -1
        centre_px = (0.5 + np.array([0.02 * to_the_right, -0.03])) * size - 0.5
        return [Detection(centre_px, 40.0, 0.4 * to_the_right, 0.2, 0.9)]

    (found,) = look_in_shape(picture, camera, partial(look_everywhere, detector=detector))
    whole = Camera.from_fov(sizes[0])
    assert whole.size_px[0] / whole.size_px[1] == pytest.approx(shape[0] / shape[1])
    wanted = Crop.from_box(whole, np.array([0.52, 0.47]) * whole.size_px - 0.5, 40.0, 0.4)
    crop = Crop.from_box(camera, found.centre_px, found.side_px, found.roll_rad)
    assert crop.focal_px == pytest.approx(wanted.focal_px, rel=2e-3)
    np.testing.assert_allclose(crop.camera_from_crop, wanted.camera_from_crop, atol=1e-9)


@pytest.mark.parametrize("shape", [1.2, 1 / 1.2])
def test_another_shape_has_to_be_clearly_better(shape):
    """Of 4:3 such a picture would be less wrong than as a square, by a tenth."""
    world = world_of(shape)
    tracker = HandTracker(predictor=world, detector=world.detector)
    assert tracker.picture(world.frame(0)) and tracker.frame_camera == SQUARE


def test_a_shape_that_loses_hands_is_not_taken():
    class Lost(KnowsShape):
        def __call__(self, image, crops, sides):
            seen = super().__call__(image, crops, sides)
            square = [crop.source.fx == crop.source.fy for crop in crops]
            return [
                one if whole else dataclasses.replace(one, presence=0.3)
                for one, whole in zip(seen, square, strict=True)
            ]

    world = world_of(16 / 9, kind=Lost)
    tracker = HandTracker(predictor=world, detector=world.detector)
    assert len(tracker.picture(world.frame(0))) == 1 and tracker.frame_camera == SQUARE


def test_its_row_holds_the_camera_in_shape(tmp_path, monkeypatch):
    world = world_of(16 / 9).loaded(monkeypatch)
    folder = tmp_path / "set"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), world.frame(0)[..., ::-1])
    assert cli.main(["--images", str(folder), "--output", str(tmp_path / "t.jsonl")]) == 0
    (row,) = read_tracks(tmp_path / "t.jsonl")[1]
    assert row["hands"] and row["camera"]["fy"] / row["camera"]["fx"] == pytest.approx(16 / 9)


@pytest.mark.parametrize("known", [{"camera": SQUARE}, {"fov_deg": 60.0}])
def test_a_camera_that_is_known_stays(known):
    world = world_of(16 / 9)
    tracker = HandTracker(**known, predictor=world, detector=world.detector)
    assert tracker.picture(world.frame(0)) and tracker.frame_camera == SQUARE
    free = HandTracker(predictor=world, detector=world.detector)
    assert free.picture(world.frame(0), 60.0) and free.frame_camera == SQUARE, "its EXIF tells"


def test_other_pictures_videos_and_pictures_without_hands_stay_as_they_are():
    wide = world_of(4 / 3, size_px=(640, 480))
    tracker = HandTracker(predictor=wide, detector=wide.detector)
    assert tracker.picture(wide.frame(0)) and tracker.frame_camera == Camera.from_fov((640, 480))
    world = world_of(16 / 9)
    world.hidden.add(1)
    tracker = HandTracker(predictor=world, detector=world.detector)
    assert tracker(world.frame(0), 0.0) and tracker.frame_camera == SQUARE
    assert tracker.picture(world.frame(1)) == [] and tracker.frame_camera == SQUARE


@pytest.mark.parametrize("shape", [9 / 16, 4 / 3, 16 / 9])
def test_pixels_of_a_square_show_what_those_of_the_picture_showed(shape):
    """Rays through a picture of 60 degrees across its longer side, and through the square that it was squeezed into."""
    whole = Camera.from_fov((round(900 * max(shape, 1)), round(900 * max(1 / shape, 1))))
    points = np.random.default_rng(0).uniform(0, 1, (50, 2))
    in_whole, in_square = ((points * size - 0.5) for size in (whole.size_px, SQUARE.size_px))
    world = world_of(shape)
    tracker = HandTracker(predictor=world, detector=world.detector)
    tracker.picture(world.frame(0))
    np.testing.assert_allclose(tracker.frame_camera.rays(in_square), whole.rays(in_whole), atol=2e-3)


def test_hands_of_real_pictures_are_placed_better(shared_data):
    """Pictures made 9:16 by margins, then squeezed."""
    found = [photo for photo in photos.read(shared_data / "real" / "hands_dguzk").photos if len(photo.hands) == 1]
    tracker, near = HandTracker(hands=1), {"square": [], "in shape": []}
    for photo in (found[i] for i in np.linspace(0, len(found) - 1, 6).astype(int)):
        whole = cv2.copyMakeBorder(photo.read(), MARGIN, MARGIN, 0, 0, cv2.BORDER_REFLECT)
        square = cv2.resize(whole, (256, 256), interpolation=cv2.INTER_AREA)
        size = whole.shape[1::-1]
        joints_px = (photo.hands[0].joints_px + (0, MARGIN) + 0.5) * 256 / np.array(size) - 0.5
        for name, camera in (("square", Camera.from_fov((256, 256))), ("in shape", None)):
            tracker.camera = camera
            hands = tracker.picture(square)
            off = np.linalg.norm(hands[0].joints_px - joints_px, axis=1) if hands else np.full(21, np.inf)
            near[name] += (off < 0.05 * np.ptp(joints_px, axis=0).max()).tolist()
    assert np.mean(near["in shape"]) > np.mean(near["square"]) + 0.1, {k: np.mean(v) for k, v in near.items()}
