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
from tracker.calibrate import hand_of_length, proportions

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
from measured_hands import clip_of, errors_mm

FOV_DEG = 2 * np.degrees(np.arctan(CAMERA.size_px[0] / 2 / CAMERA.fx))
FINGERS = np.array([1.08, 0.94, 1.0, 1.05, 0.9])  # times the usual ones


def own_hand(side="left", times=1.12):
    """A hand with a long thumb and a short little finger."""
    usual = Skeleton.default("left")
    own = usual.with_bone_lengths(times * usual.bone_lengths_mm * np.r_[1, np.repeat(FINGERS, 4)])
    return own if side == "left" else own.mirrored()


def length_of(hand):
    return float(hand.bone_lengths_mm[9:13].sum())


class OwnHand(Hand):
    def joints_mm(self, index):
        return forward_kinematics(own_hand(self.side), self.pose(index))


@pytest.fixture
def world(monkeypatch):
    return World([OwnHand("right", moving_hand)]).loaded(monkeypatch)


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


def test_a_webcam_is_watched_until_the_hand_was_seen_long_enough(world, tmp_path, monkeypatch):
    class Frames:
        """Frames without an end."""

        label, fps, size_px, count, note = "webcam 0", FPS, CAMERA.size_px, 0, ""

        def __init__(self, number):
            self.given = 0

        def __enter__(self):
            return self

        def __exit__(self, *details):
            pass

        def __iter__(self):
            while True:
                yield sources.Frame(world.frame(self.given), self.given, self.given / FPS)
                self.given += 1

    monkeypatch.setattr(webcam, "WebcamSource", Frames)
    hand = tmp_path / "hand.json"
    assert run("--webcam", "--viewer", "none", "--fov", FOV_DEG, "--hand-length", 190, "--output", hand) == 0
    assert json.loads(hand.read_text())["looks"] == 150
    assert length_of(load.load_hand(hand)[0]) == pytest.approx(190, abs=0.05)


def test_without_a_hand_nothing_is_written_and_an_older_hand_stays(world, pictures, tmp_path, capsys):
    world.hands.clear()
    hand = tmp_path / "hand.json"
    hand.write_text('{"scale_mm": 90}')
    assert run("--images", pictures, "--fov", FOV_DEG, "--hand-length", 190, "--output", hand) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "tracker: a hand was seen in 0 pictures, 5 are needed: hold it open to the camera"
    )
    assert hand.read_text() == '{"scale_mm": 90}'


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


def looks(count, skeleton, bend=0.0, confidence=0.9, noise=0.0):
    """What RegNet says of a hand whose fingers are bent by `bend` [rad]."""
    rng = np.random.default_rng(5)
    joints = forward_kinematics(skeleton, np.r_[np.zeros(6), np.tile([0, bend, bend, bend], 5)])
    rel = (joints - joints[9]) / np.linalg.norm(joints[9])
    return [
        Prediction(
            np.zeros((21, 2)), np.ones(21), rel + noise * rng.normal(size=(21, 3)), np.full(21, confidence), 1, 0.5
        )
        for _ in range(count)
    ]


def test_bent_fingers_and_unsure_ones_do_not_count():
    seen = looks(20, own_hand(), noise=0.003)
    wanted = proportions(seen)
    shortened = [
        replace(look, joints_rel=0.6 * look.joints_rel) for look in looks(15, Skeleton.default("left"), bend=1.2)
    ]
    unsure = looks(50, Skeleton.default("left"), confidence=0.3)
    np.testing.assert_allclose(proportions(seen + shortened + unsure), wanted, rtol=0.01)
    np.testing.assert_allclose(
        hand_of_length(wanted, 200).bone_lengths_mm,
        own_hand(times=200 / length_of(own_hand(times=1))).bone_lengths_mm,
        rtol=0.01,
    )


def test_a_finger_that_is_never_sure_is_named():
    hidden = np.full(21, 0.9)
    hidden[17:] = 0.1
    with pytest.raises(HandposeError, match="the little finger was seen surely in 0 pictures, 5 are needed"):
        proportions([replace(look, confidence=hidden) for look in looks(10, own_hand())])


def test_what_is_no_hand_is_refused():
    broken = looks(10, own_hand())
    for look in broken:
        look.joints_rel[17:] = look.joints_rel[0]
    with pytest.raises(HandposeError, match="no hand's"):
        proportions(broken)


def test_a_measured_hand_is_tracked_nearer_to_the_truth():
    """A rendered hand by the real networks: both its length and its fingers count."""
    error = errors_mm(clip_of(own_hand(), 1, seconds=2.0))
    assert error["measured"] < error["length alone"] < error["usual"]
    assert error["measured"] < 0.6 * error["usual"]
