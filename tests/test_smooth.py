"""`tracker smooth`: nearer to the truth than the live track, through frames that hide the hand too, and nothing else changes."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from test_bad_input import complaint
from tracker_fakes import CAMERA, moving_hand

from handpose.errors import HandposeError
from handpose.kinematics import forward_kinematics
from handpose.skeleton import Skeleton
from tracker import cli
from tracker.filters import PixelFilter, PoseFilter
from tracker.hand import State, TrackedHand, apart_mm
from tracker.smooth import smooth
from tracker.track_file import frame_row, hands_of, header, open_writer, read_tracks

FPS = 30.0
HEAD = header("clip.mp4", FPS, CAMERA.size_px, CAMERA.to_dict() | {"origin": "given"}, "default", "none")


def truth(frame: int) -> np.ndarray:
    """Pose (26,) of a hand that swings, turns and bends faster than a live filter follows."""
    vector, time_s = moving_hand(frame), frame / FPS
    vector[:3] += (90 * np.sin(4 * time_s), 0, 60 * np.cos(3 * time_s))
    vector[5] += 0.8 * np.sin(4 * time_s)
    return vector


def live(side="right", number=1, frames=range(90), hidden=(), noise=0.0, pose=truth):
    """Tracks as the live tracker gives them: by frame a hand, filtered; while it is hidden it goes on as it moved last."""
    rng, skeleton = np.random.default_rng(3), Skeleton.default(side)
    pose_filter, pixel_filter, found = PoseFilter(), PixelFilter(300.0), {}
    vector, step = pose(frames[0]), np.zeros(26)
    for frame in frames:
        if frame in hidden:
            vector = vector + step
        else:
            step = pose(frame) - pose(frame - 1)
            vector = pose(frame) + noise * rng.normal(size=26) * np.repeat([2.0, 0.02, 0.05], [3, 3, 20])
        filtered = pose_filter(vector, frame / FPS)
        joints_mm = forward_kinematics(skeleton, filtered)
        seen_px = CAMERA.project(forward_kinematics(skeleton, vector)) + noise * rng.normal(size=(21, 2))
        joints_px = CAMERA.project(joints_mm) if frame in hidden else pixel_filter(seen_px, frame / FPS)
        state = State.PREDICTED if frame in hidden else State.TRACKED
        found[frame] = TrackedHand(
            number, side, state, 0.9, joints_px, joints_mm, np.full(21, 0.8), np.ones((21, 2)),
            filtered[:3], filtered[3:6], filtered[6:],
        )  # fmt: skip
    return found


def rows_of(*tracks, count=90):
    return [
        frame_row(frame, frame / FPS, [track[frame] for track in tracks if frame in track]) for frame in range(count)
    ]


def errors_mm(rows, side="right", pose=truth):
    """Mean distance of the joints from the truth by frame [mm]."""
    wanted = [forward_kinematics(Skeleton.default(side), pose(row["frame"])) for row in rows]
    found = [row["hands"][0]["joints_mm"] for row in rows]
    return np.linalg.norm(np.subtract(found, wanted), axis=-1).mean(1)


def test_what_the_live_filter_trails_is_given_back_and_noise_taken():
    rows = rows_of(live(noise=1.0))
    smoothed = smooth(HEAD, rows)
    before, after = errors_mm(rows), errors_mm(smoothed)
    assert before.mean() > 15
    assert after.mean() < 0.4 * before.mean()

    def from_truth_px(rows):
        wanted = [CAMERA.project(forward_kinematics(Skeleton.default("right"), truth(row["frame"]))) for row in rows]
        return np.linalg.norm(np.subtract([row["hands"][0]["joints_px"] for row in rows], wanted), axis=-1)

    assert from_truth_px(smoothed).mean() < 0.75 * from_truth_px(rows).mean()

    def shakes(rows):
        joints = np.array([row["hands"][0]["joints_mm"] for row in rows])
        return np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1).mean()

    assert shakes(smoothed) < 0.7 * shakes(rows)


def test_the_ends_of_a_track_are_as_good_as_the_rest():
    """Its last frames trail no longer, and its first, which did not, still do not."""
    rows = rows_of(live())
    before, after = errors_mm(rows), errors_mm(smooth(HEAD, rows))
    assert after[0] == pytest.approx(before[0], abs=0.1)
    assert after[:8].mean() < 0.5 * before[:8].mean()
    assert after[-8:].mean() < 0.3 * before[-8:].mean()


def test_a_hidden_hand_moves_on_between_what_was_seen_before_and_after():
    rows = rows_of(live(hidden=range(40, 52)))
    smoothed = smooth(HEAD, rows)
    before, after = errors_mm(rows), errors_mm(smoothed)
    assert after[40:52].max() < 0.25 * before[40:52].mean()
    assert after[52:56].mean() < 0.4 * before[52:56].mean()  # the live filter comes from where it went wrong
    for row in smoothed[40:52]:
        (hand,) = hands_of(row)
        assert hand.state is State.PREDICTED
        np.testing.assert_allclose(hand.joints_px, CAMERA.project(hand.joints_mm), atol=0.1)


def test_a_still_hand_stays_and_all_that_is_no_place_stays():
    rows = rows_of(live(pose=lambda frame: truth(7), hidden=range(80, 90)))
    smoothed = smooth(HEAD, rows)
    for old, new in zip(rows, smoothed, strict=True):
        assert {name: old[name] for name in ("frame", "time_s")} == {name: new[name] for name in ("frame", "time_s")}
        (before,), (after,) = old["hands"], new["hands"]
        for name in ("id", "side", "state", "score", "confidence"):
            assert before[name] == after[name]
        np.testing.assert_allclose(before["sigma_mm"], after["sigma_mm"], rtol=0.01)
        np.testing.assert_allclose(before["joints_mm"], after["joints_mm"], atol=0.05)
        np.testing.assert_allclose(before["joints_px"], after["joints_px"], atol=0.05)


def test_bones_keep_their_lengths_and_joints_belong_to_the_pose():
    smoothed = smooth(HEAD, rows_of(live(noise=1.0)))
    for row in smoothed[::10]:
        (hand,) = hands_of(row)
        np.testing.assert_allclose(hand.joints_mm, forward_kinematics(Skeleton.default("right"), hand.vector), atol=0.1)


def test_hands_are_smoothed_each_by_itself_and_a_break_is_one():
    """Another hand, another side and a break in a track leave the frames on this side as they are without them."""
    first, second = live(frames=range(30)), live("left", 2, frames=range(5, 60))
    later = live(frames=range(60, 90))
    together = smooth(HEAD, rows_of(first, second, later))
    for track, frames in ((first, range(30)), (second, range(5, 60)), (later, range(60, 90))):
        alone = smooth(HEAD, rows_of(track))
        for frame in frames:
            (wanted,) = alone[frame]["hands"]
            assert wanted in together[frame]["hands"]
    assert [len(row["hands"]) for row in together[:8]] == [1, 1, 1, 1, 1, 2, 2, 2]


def write(path, rows, head=HEAD):
    writer = open_writer(path, head)
    for row in rows:
        writer.write(row)
    writer.close()
    return path


def test_the_command_writes_every_kind_and_passes_over_a_torn_last_line(tmp_path, capsys):
    source = write(tmp_path / "live.jsonl", rows_of(live(frames=range(20)), count=24))
    with source.open("a") as file:
        file.write('{"frame": 24, "ti')
    outputs = [tmp_path / f"smooth{suffix}" for suffix in (".jsonl", ".csv", ".npz", ".glb", ".bvh")]
    assert cli.main(["smooth", "--i", str(source), "--output", *map(str, outputs)]) == 0
    assert "24 frames smoothed, joints moved by" in capsys.readouterr().err
    head, rows = read_tracks(outputs[0])
    assert head == HEAD | {"smoothed": True}
    assert rows == smooth(HEAD, read_tracks(source)[1])
    with outputs[1].open() as file:
        assert len(list(csv.DictReader(file))) == 24
    with np.load(outputs[2]) as data:
        np.testing.assert_allclose(data["joints_mm"][4], rows[4]["hands"][0]["joints_mm"])
    assert outputs[3].read_bytes()[:4] == b"glTF"
    assert "Frames: 24" in outputs[4].read_text()


def test_a_clip_without_hands_stays_without(tmp_path, capsys):
    source = write(tmp_path / "live.jsonl", rows_of(count=3))
    assert cli.main(["smooth", "--i", str(source), "--output", str(tmp_path / "s.jsonl")]) == 0
    assert capsys.readouterr().err == "tracker: 3 frames smoothed\n"
    assert read_tracks(tmp_path / "s.jsonl")[1] == rows_of(count=3)


def test_what_cannot_be_smoothed_is_told_in_one_line_and_nothing_is_replaced(tmp_path, capsys):
    good, rows = write(tmp_path / "live.jsonl", rows_of(live(frames=range(4)), count=4)), rows_of(count=2)
    (tmp_path / "old.jsonl").write_text("kept")
    (hand,) = read_tracks(good)[1][0]["hands"]

    def with_hand(**change):
        return HEAD, [rows[0] | {"hands": [hand | change]}, rows[1]]

    broken = {
        "pictures": (HEAD | {"fps": None, "camera": None}, rows),
        "no camera": (HEAD | {"camera": {"fx": 1}}, rows),
        "no row": (HEAD, [rows[0] | {"hands": [{"id": 1}]}, rows[1]]),
        "time_s": (HEAD, [{"frame": 0, "hands": []}, rows[1]]),
        "no frame": (HEAD, [{"time_s": 0.0, "hands": []}, rows[1]]),
        "do not grow": (HEAD, [rows[1], rows[0]]),
        "smoothed already": (HEAD | {"smoothed": True}, rows),
        "angle_names": ({name: HEAD[name] for name in HEAD if name != "angle_names"}, rows),
        "of version 2": (HEAD | {"version": 2}, rows),
        "fps (30)": (HEAD | {"fps": "30"}, rows),
        "fps (-30)": (HEAD | {"fps": -30}, rows),
        "size_px (None)": (HEAD | {"size_px": None}, rows),
        "times of": (HEAD, [rows[0] | {"time_s": None}]),
        "infinity": (HEAD, [rows[0] | {"frame": float("inf")}, rows[1]]),
        "Overflow": with_hand(id=float("inf")),
        "a side": with_hand(side="up"),
        "State": with_hand(state="gone"),
        "not finite": with_hand(confidence=[float("nan")] * 21),
        "size 1": with_hand(joints_px=None),
        "reshape": with_hand(joints_mm=[1.0]),
    }
    for words, (head, content) in broken.items():
        path = tmp_path / "broken.jsonl"
        path.write_text("\n".join(json.dumps(line) for line in [head, *content]) + "\n")
        assert words in complaint(capsys, "smooth", "--i", path, "--output", tmp_path / "old.jsonl")
    (tmp_path / "broken.jsonl").write_bytes(b"\xff\xfe\x00")
    assert "no text" in complaint(capsys, "smooth", "--i", tmp_path / "broken.jsonl", "--output", tmp_path / "old.jsonl")  # fmt: skip
    assert "missing.jsonl" in complaint(capsys, "smooth", "--i", tmp_path / "missing.jsonl", "--output", tmp_path / "old.jsonl")  # fmt: skip
    assert "at once" in complaint(capsys, "smooth", "--i", good, "--output", tmp_path / ".." / tmp_path.name / "live.jsonl")  # fmt: skip
    assert (tmp_path / "old.jsonl").read_text() == "kept"
    assert len(read_tracks(good)[1]) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="files have no size limit there")
def test_a_full_disk_is_one_line(tmp_path):
    source = write(tmp_path / "live.jsonl", rows_of(live()))
    program = f"""
import resource, sys
from tracker import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
sys.exit(cli.main(["smooth", "--i", {str(source)!r}, "--output", "s.jsonl"]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("tracker: writing stopped")
    assert read_tracks(source)[1] == rows_of(live())


def test_pictures_are_refused_from_python_too():
    with pytest.raises(HandposeError, match="do not move"):
        smooth(HEAD | {"fps": None}, [])


def test_less_is_expected_of_a_moving_hand_once_it_is_smoothed():
    rows = rows_of(live())
    for row in rows:  # what the live track says of its own lag
        truth_mm = forward_kinematics(Skeleton.default("right"), truth(row["frame"]))
        row["hands"][0]["sigma_mm"] = (1 + apart_mm(np.array(row["hands"][0]["joints_mm"]), truth_mm)).tolist()
    smoothed = smooth(HEAD, rows)
    live_mm, left_mm = (np.array([row["hands"][0]["sigma_mm"] for row in some])[20:80] for some in (rows, smoothed))
    assert left_mm.mean() < 0.8 * live_mm.mean() and (left_mm >= 0.49 * live_mm).all()
