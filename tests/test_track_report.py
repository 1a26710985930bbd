"""`tracker report`: what a track tells of itself is what was put into it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from test_bad_input import complaint
from test_smooth import FPS, HEAD, live, rows_of, write
from tracker_fakes import CAMERA

from handpose.skeleton import ANGLE_LIMITS_RAD, ANGLE_NAMES, JOINT_NAMES, M0
from tracker import cli
from tracker.hand import State
from tracker.report import clip_figures, in_words

DEPTH_MM = 500.0
COUNT = 30


def still(frame):
    return np.concatenate([[10.0, 20.0, DEPTH_MM], [0.0, 0.0, 0.0], np.tile([0.0, 0.5, 0.5, 0.4], 5)])


def figures_of(*tracks, count=COUNT, head=HEAD):
    return clip_figures(head, rows_of(*tracks, count=count))


def only(figures):
    (hand,) = figures["hands"]
    return hand


def test_a_still_hand_seen_where_it_is_leaves_nothing_over():
    figures = figures_of(live(pose=still, frames=range(COUNT)))
    assert (figures["frames"], figures["frames_with_hand"], figures["camera"]) == (COUNT, COUNT, "given")
    hand = only(figures)
    assert (hand["id"], hand["side"], hand["frames_of_other_side"]) == (1, "right", 0)
    assert (hand["frames_tracked"], hand["frames_predicted"], hand["frames_missing"]) == (COUNT, 0, 0)
    for name in ("residual_px", "residual_px_95", "residual_mm", "bone_length_spread_mm", "acceleration_across"):
        assert hand[name] == pytest.approx(0, abs=0.02), name
    assert (hand["frames_beyond_a_limit"], hand["most_beyond"]) == (0, None)
    assert (hand["sigma_across_mm"], hand["sigma_depth_mm"], hand["score"], hand["joints_sure"]) == (1, 1, 0.9, 1)


def test_joints_seen_beside_the_fit_are_told_in_pixels_and_millimetres():
    track = live(pose=still, frames=range(COUNT))
    moved = {frame: replace(hand, joints_px=hand.joints_px + (3.0, 4.0)) for frame, hand in track.items()}
    hand = only(figures_of(moved))
    assert hand["residual_px"] == pytest.approx(5, abs=0.02)
    assert hand["residual_px_95"] == pytest.approx(5, abs=0.02)
    depths = np.array([one.joints_mm[:, 2] for one in track.values()])
    assert hand["residual_mm"] == pytest.approx(np.median(5 * depths / CAMERA.fx), abs=0.02)


@pytest.mark.parametrize("axis", [0, 1])
def test_millimetres_beside_the_fit_are_those_of_pixels_that_are_no_squares(axis):
    squeezed = CAMERA.scaled_to((480, 480))
    head = HEAD | {"camera": squeezed.to_dict() | {"origin": "given"}, "size_px": [480, 480]}
    beside_px = 4.0 * np.eye(2)[axis] * (squeezed.fx, squeezed.fy) / DEPTH_MM  # 4 mm at the wrist
    moved = {
        frame: replace(hand, joints_px=squeezed.project(hand.joints_mm) + beside_px)
        for frame, hand in live(pose=still, frames=range(COUNT)).items()
    }
    assert only(figures_of(moved, head=head))["residual_mm"] == pytest.approx(4, rel=0.1)


def test_joints_that_were_hardly_seen_leave_nothing_over():
    track, tips = live(pose=still, frames=range(COUNT)), [JOINT_NAMES.index(name) for name in ("I3", "L3")]
    confidence, offset = np.full(21, 0.8), np.zeros((21, 2))
    confidence[tips], offset[tips] = 0.2, 90.0
    unsure = {f: replace(h, joints_px=h.joints_px + offset, confidence=confidence) for f, h in track.items()}
    hand = only(figures_of(unsure))
    assert hand["residual_px_95"] == pytest.approx(0, abs=0.02)
    assert hand["joints_sure"] == pytest.approx(19 / 21)
    sure = {f: replace(h, joints_px=h.joints_px + offset) for f, h in track.items()}
    assert only(figures_of(sure))["residual_px_95"] > 20


def test_frames_without_the_hand_are_counted_by_what_became_of_it():
    track = live(pose=still, frames=range(2, COUNT), hidden=range(10, 14))
    shown = {frame: hand for frame, hand in track.items() if frame not in (20, 21, 22)}
    figures = figures_of(shown, count=COUNT + 5)
    assert (figures["frames"], figures["frames_with_hand"]) == (COUNT + 5, COUNT - 9)
    hand = only(figures)
    assert (hand["first_frame"], hand["last_frame"]) == (2, COUNT - 1)
    assert (hand["frames_tracked"], hand["frames_predicted"], hand["frames_missing"]) == (COUNT - 9, 4, 3)


def test_acceleration_is_that_of_the_motion_across_and_in_depth():
    """A break in the track is no acceleration, nor is a constant speed; so far away M0 stays on the camera's axis."""

    def falling(frame, across=3.0, depth=5.0):
        t = frame / FPS
        return np.array([500.0 * across * t * t + 80 * t, 0.0, 1e6 + 500.0 * depth * t * t])  # mm, of m/s^2

    track = live(pose=still, frames=range(COUNT))
    moved = {
        f: replace(h, joints_mm=h.joints_mm - h.joints_mm[M0] + falling(f)) for f, h in track.items() if f % 10 < 7
    }
    hand = only(figures_of(moved))
    assert hand["acceleration_across"] == pytest.approx(3, abs=0.05)
    assert hand["acceleration_depth"] == pytest.approx(5, abs=0.05)
    assert hand["frames_missing"] == 6


def test_a_hand_that_trembles_in_depth_beside_the_axis_does_not_tremble_across():
    track = live(pose=still, frames=range(COUNT))
    ray = np.array([0.5, 0.1, 1.0]) / np.linalg.norm([0.5, 0.1, 1.0])

    def along(joints_mm, frame):
        """The same hand, its middle knuckle somewhere on the ray."""
        return joints_mm - joints_mm[M0] + ray * (600 + 4 * (frame % 2))

    hand = only(figures_of({f: replace(h, joints_mm=along(h.joints_mm, f)) for f, h in track.items()}))
    assert hand["acceleration_across"] == pytest.approx(0, abs=0.05)
    assert hand["acceleration_depth"] == pytest.approx(2 * 4 * FPS**2 / 1000, abs=0.05)


def test_angles_beyond_their_limits_and_bones_that_vary_are_told():
    track = live(pose=still, frames=range(COUNT))
    bent = {}
    for frame, hand in track.items():
        angles = hand.angles_rad.copy()
        angles[6] = ANGLE_LIMITS_RAD[6, 1] + np.deg2rad(0.5 if frame % 3 else 2.0)
        bent[frame] = replace(hand, angles_rad=angles, joints_mm=hand.joints_mm * (1 + 0.01 * (frame % 2)))
    hand = only(figures_of(bent))
    assert hand["frames_beyond_a_limit"] == pytest.approx(1 / 3)
    assert hand["most_beyond"] == ANGLE_NAMES[6]
    assert hand["bone_length_spread_mm"] == pytest.approx(0.005 * 97.5, abs=0.05)  # the longest bone, W to I0


def test_each_hand_is_told_and_one_whose_side_changed():
    first = live(pose=still, frames=range(20))
    turned = {f: replace(h, side="left") if f < 4 else h for f, h in first.items()}
    second = {f: replace(h, state=State.PREDICTED) for f, h in live("left", 7, frames=range(5), pose=still).items()}
    figures = figures_of(turned, second)
    mine, other = figures["hands"]
    assert (mine["id"], mine["side"], mine["frames_of_other_side"]) == (1, "right", 4)
    assert (other["id"], other["frames_tracked"], other["frames_predicted"]) == (7, 0, 5)
    assert np.isnan(other["residual_px"])
    words = in_words(figures)
    assert "nan" not in words
    assert "hand 1, right, the other side in 4: frames 0 to 19, tracked in 20" in words
    assert "hand 7, left: frames 0 to 4, tracked in 0, predicted in 5" in words


def test_the_command_tells_in_lines_and_keeps_figures(tmp_path, capsys):
    source = write(tmp_path / "live.jsonl", rows_of(live(pose=still, frames=range(COUNT)), count=COUNT))
    assert cli.main(["report", "--i", str(source), "--output", str(tmp_path / "r.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"clip.mp4: a hand tracked in {COUNT} of {COUNT} frames"
    assert "the camera was given" in lines[1]
    assert "size was assumed" in lines[1]
    kept = json.loads((tmp_path / "r.json").read_text())
    assert kept["hands"][0]["frames_tracked"] == COUNT

    empty = write(tmp_path / "empty.jsonl", rows_of(count=2), HEAD | {"smoothed": True})
    assert cli.main(["report", "--i", str(empty), "--output", str(tmp_path / "r.json")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "clip.mp4: a hand tracked in 0 of 2 frames, smoothed"


def test_what_cannot_be_reported_is_one_line_and_nothing_is_replaced(tmp_path, capsys):
    (tmp_path / "old.json").write_text("kept")
    output = tmp_path / "old.json"
    pictures = write(tmp_path / "pictures.jsonl", rows_of(count=2), HEAD | {"fps": None, "camera": None})
    assert "do not move" in complaint(capsys, "report", "--i", pictures, "--output", output)
    assert "missing.jsonl" in complaint(capsys, "report", "--i", tmp_path / "missing.jsonl", "--output", output)
    good = write(tmp_path / "good.jsonl", rows_of(count=2))
    assert "no such folder" in complaint(capsys, "report", "--i", good, "--output", tmp_path / "no" / "r.json")
    assert output.read_text() == "kept"
