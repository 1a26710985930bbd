"""`tracker calibrate`: a ruler's length and what RegNet sees of the fingers become a hand that fits better than the usual one."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tracker_fakes import CAMERA, FPS, Hand, World, moving_hand

from handpose.errors import HandposeError
from handpose.images import write_image
from handpose.kinematics import forward_kinematics
from handpose.prediction import Prediction
from handpose.skeleton import Skeleton
from tracker import cli, load, sources, webcam
from tracker.calibrate import FingerMeter, proportions

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
from measured_hands import clip_of, errors_mm, other_hand

FOV_DEG = 2 * np.degrees(np.arctan(CAMERA.size_px[0] / 2 / CAMERA.fx))
FINGERS = np.array([1.08, 0.94, 1.0, 1.05, 0.9])  # times the usual ones


def own_hand(side="left", times=1.12):
    """A hand with a long thumb and a short little finger."""
    usual = Skeleton.default("left")
    own = usual.with_bone_lengths(times * usual.bone_lengths_mm * np.r_[1, np.repeat(FINGERS, 4)])
    return own if side == "left" else own.mirrored()


def length_of(hand):
    return float(hand.bone_lengths_mm[9:13].sum())


def usual_proportions():
    usual = Skeleton.default("left")
    return usual.bone_lengths_mm[1:].reshape(5, 4).sum(1) / length_of(usual)


def shown(index, bend=0.05, x_mm=0.0):
    """A hand that moves and is bent by `bend` [rad] at each joint."""
    return np.r_[moving_hand(index, x_mm)[:6], np.tile([0, bend, bend, bend], 5)]


class OwnHand(Hand):
    def joints_mm(self, index):
        vector = self.pose(index)
        return None if vector is None else forward_kinematics(own_hand(self.side), vector)


@pytest.fixture
def world(monkeypatch):
    return World([OwnHand("right", shown)]).loaded(monkeypatch)


@pytest.fixture
def pictures(world, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(8):
        write_image(folder / f"{index}.png", world.frame(index))
    return folder


def run(*arguments):
    return cli.main(["calibrate", *[str(argument) for argument in arguments]])


def test_pictures_of_a_hand_give_its_bones(pictures, tmp_path, capsys):
    hand = tmp_path / "hand.json"
    length = length_of(own_hand())
    assert run("--images", pictures, "--fov", FOV_DEG, "--hand-length", length, "--output", hand) == 0
    found, scale = load.load_hand(hand)
    assert scale == "calibrated"
    np.testing.assert_allclose(found.bone_lengths_mm, own_hand().bone_lengths_mm, rtol=0.005)
    assert "hand.json" in (said := capsys.readouterr().out)
    assert "by 8 looks" in said


@pytest.fixture
def endless_webcam(world, monkeypatch):
    class Frames:
        """Frames without an end, or until Ctrl-C is pressed."""

        label, fps, size_px, count, note = "webcam 0", FPS, CAMERA.size_px, 0, ""
        pressed_at = None

        def __init__(self, number):
            self.given = 0

        def __enter__(self):
            return self

        def __exit__(self, *details):
            pass

        def __iter__(self):
            while self.given != self.pressed_at:
                yield sources.Frame(world.frame(self.given), self.given, self.given / FPS)
                self.given += 1
            raise KeyboardInterrupt

    monkeypatch.setattr(webcam, "WebcamSource", Frames)
    return Frames


def test_a_webcam_is_watched_until_the_hand_was_seen_long_enough(endless_webcam, tmp_path):
    hand = tmp_path / "hand.json"
    assert run("--webcam", "--viewer", "none", "--fov", FOV_DEG, "--hand-length", 190, "--output", hand) == 0
    assert json.loads(hand.read_text())["looks"] == 150
    assert length_of(load.load_hand(hand)[0]) == pytest.approx(190, abs=0.05)


def test_who_stops_it_keeps_the_hand_there_was(endless_webcam, tmp_path, capsys):
    endless_webcam.pressed_at, hand = 40, tmp_path / "hand.json"
    hand.write_text('{"scale_mm": 90}')
    assert run("--webcam", "--viewer", "none", "--fov", FOV_DEG, "--hand-length", 190, "--output", hand) == 0
    assert hand.read_text() == '{"scale_mm": 90}'
    assert "hand.json was not written" in capsys.readouterr().err


def test_without_a_hand_nothing_is_written_and_an_older_hand_stays(world, pictures, tmp_path, capsys):
    world.hands.clear()
    hand = tmp_path / "hand.json"
    hand.write_text('{"scale_mm": 90}')
    assert run("--images", pictures, "--fov", FOV_DEG, "--hand-length", 190, "--output", hand) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "tracker: the open hand was seen in 0 pictures, 5 are needed: hold it, palm or back, to the camera"
    )
    assert hand.read_text() == '{"scale_mm": 90}'


def test_the_camera_s_file_is_not_written_over(world, pictures, tmp_path, capsys):
    camera = tmp_path / "camera.json"
    camera.write_text(json.dumps(CAMERA.to_dict()))
    assert run("--images", pictures, "--camera", camera, "--hand-length", 190, "--output", camera) == 1
    assert "cannot be the camera and be written" in capsys.readouterr().err
    assert json.loads(camera.read_text()) == CAMERA.to_dict()


def test_a_folder_that_is_not_there_is_told_before_the_work(world, pictures, tmp_path, capsys):
    assert run("--images", pictures, "--hand-length", 190, "--output", tmp_path / "none" / "hand.json") == 1
    assert "no such folder" in capsys.readouterr().err
    assert world.crops_fed == []


@pytest.mark.parametrize(
    "options",
    [(), ("--hand-length", "19"), ("--hand-length", "300"), ("--hand-length", "x"), ("--hand-length", "nan"),
     ("--hand-length", "190", "--output", "hand.txt"), ("--hand-length", "190", "--demo")],
)  # fmt: skip
def test_wrong_usage(options):
    with pytest.raises(SystemExit) as stopped:
        run("--video", "a.mp4", *options)
    assert stopped.value.code == 2


def seen_by_a_meter(world, count):
    meter = FingerMeter(CAMERA, predictor=world, detector=world.detector)
    for index in range(count):
        meter(world.frame(index), index / FPS)
    return meter.looks


def test_only_looks_at_the_open_hand_are_kept(world):
    world.hands = [OwnHand("left", lambda index: shown(index, 0.05 if 20 <= index < 30 else 1.0))]
    assert len(seen_by_a_meter(world, 60)) == 10


def test_looks_with_an_unsure_finger_are_left_out(world):
    class Unsure(World):
        def _seen(self, index, crop):
            prediction = super()._seen(index, crop)
            confidence = prediction.confidence.copy()
            confidence[17:] = 0.95 if index < 5 else 0.3
            return replace(prediction, confidence=confidence)

    assert len(seen_by_a_meter(Unsure(world.hands), 12)) == 5


def test_of_two_hands_the_one_seen_longer_counts(world):
    """Another person's hand comes first: none of it is mixed in."""
    world.hands = [
        Hand("left", lambda index: shown(index) if index < 12 else None),
        OwnHand("right", lambda index: shown(index, x_mm=-100) if index >= 130 else None),
    ]
    looks = seen_by_a_meter(world, 160)
    assert 20 < len(looks) <= 30
    np.testing.assert_allclose(proportions(looks), FINGERS * usual_proportions(), rtol=0.005)


def test_what_is_no_hand_is_refused():
    joints = forward_kinematics(Skeleton.default("left"), np.zeros(26))
    joints[17:] = joints[0] + 0.5 * (joints[17:] - joints[0])
    look = Prediction(np.zeros((21, 2)), np.ones(21), joints / 94.7, np.ones(21), 1, 0.5)
    with pytest.raises(HandposeError, match="no hand's"):
        proportions([look] * 10)


def test_a_measured_hand_is_tracked_nearer_to_the_truth():
    """Rendered hands by the real networks: both their length and their fingers count. Of a single hand the fingers may not."""
    hands = {1: own_hand(), 0: other_hand(0), 4: other_hand(4)}
    errors = [errors_mm(clip_of(hand, number, seconds=2.0)) for number, hand in hands.items()]
    error = {name: np.mean([one[name] for one in errors]) for name in errors[0]}
    assert error["measured"] < error["length alone"] < error["usual"]
    assert error["measured"] < 0.6 * error["usual"]
