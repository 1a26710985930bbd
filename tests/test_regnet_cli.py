"""The command `regnet`: help at once, one-line errors, exit codes, what `test`, `export` and `summary` print and write."""

import json
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from tests_data import write_photo_set

from handpose import metrics
from handpose.heatmap import cells_from_px, gaussian_heatmaps
from handpose.skeleton import TIPS
from regnet import evaluate as evaluation
from regnet import unlabelled
from regnet.cli import COMMANDS, main
from regnet.labelled import labelled_windows, rendered_windows
from regnet.measure import measure
from regnet.predictor import Predictor


class Seer:
    """Knows where the hands of a photo set are, up to a shift [window px]; says "left" by the picture's stamp of its side."""

    input_size = 128

    def __init__(self, folder, shift_px=0.0):
        windows, _ = labelled_windows(folder, 128)
        self.known = {}
        for window in windows:
            joints = window.crop.to_crop(window.joints_px) + (shift_px, 0)
            mirror = joints * (-1, 1) + (127, 0)
            left = window.side == "left"
            self.known[window.image.tobytes()] = (joints, float(left))
            self.known[np.ascontiguousarray(window.image[:, ::-1]).tobytes()] = (mirror, float(not left))

    def __call__(self, images):
        seen = [self.known[image.tobytes()] for image in images]
        joints = np.array([joints for joints, _ in seen])
        ones = np.ones((len(images), 21))
        return {
            "heatmaps": gaussian_heatmaps(cells_from_px(joints, 128)), "joints_rel": np.zeros((len(images), 21, 3)),
            "confidence": 0.9 * ones, "presence": 0.8 * ones[:, :1], "left": np.array([[left] for _, left in seen]),
        }  # fmt: skip


@pytest.fixture(scope="module")
def photo_set(tmp_path_factory):
    return write_photo_set(tmp_path_factory.mktemp("photos") / "sticks")


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_comes_at_once_and_imports_nothing_heavy(command):
    code = f"import sys; from regnet.cli import main\ntry: main({[*command, '--help']})\nexcept SystemExit as end: assert end.code == 0\n"
    code += "assert not {'tensorflow', 'keras', 'onnxruntime', 'openvino'} & set(sys.modules)"
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "usage: regnet" in result.stdout
    assert time.monotonic() - started < 10  # far above what it takes, so that a busy machine does not fail it


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["test"], ["test", "--i", "a", "--v", "b"], ["summary", "--network", "x"]]
)
def test_wrong_usage_is_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: regnet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["test", "--i", "nowhere"], "nowhere: no such file or folder"),
        (["test", "--v", "nowhere.mp4"], "nowhere.mp4: no such file or folder"),
        (["test", "--i", "{set}", "--weights", "nowhere.onnx"], "nowhere.onnx: the weights cannot be read"),
        (["test", "--i", "{set}", "--n", "0"], "--n must be 1 or more"),
        (["test", "--i", "{set}", "--json", "none/x.json"], "none: no such folder"),
        (["test", "--i", "{set}", "--seed", "-1"], "--seed must be 0 or more, not -1"),
        (["test", "--i", "{set}/images", "--json", "x.json"], "holds no labels"),
        (
            ["test", "--i", "{set}/images", "--output", "t.csv"],
            "t.csv: what is drawn on the pictures is read from .jsonl",
        ),
    ],
)
def test_bad_input_is_one_line_and_code_1(photo_set, arguments, reason, capsys):
    assert main([argument.format(set=photo_set) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("regnet: ") and captured.err.count("\n") == 1
    assert reason in captured.err
    assert not captured.out


def test_test_measures_a_known_error_and_writes_it(photo_set, tmp_path, capsys, monkeypatch):
    shift = 6.0
    monkeypatch.setattr(evaluation, "load_predictor", lambda weights: Predictor(Seer(photo_set, shift)))
    figures_file, sheet = tmp_path / "figures.json", tmp_path / "sheet.png"
    assert main(["test", "--i", str(photo_set), "--json", str(figures_file), "--output", str(sheet)]) == 0
    figures = json.loads(figures_file.read_text())
    assert figures["n"] == 8
    assert figures["epe_px"] == pytest.approx(shift, abs=0.05)
    # The box is two thirds of the crop, a little less or more by the roll between the two.
    assert figures["epe_of_box"] == pytest.approx(shift / (128 / 1.5), rel=0.25)
    assert figures["pck@0.05"] == 0 and figures["pck@0.20"] == 1
    assert figures["side_right"] == 1 and figures["presence"] == pytest.approx(0.8)
    assert cv2.imread(str(sheet)) is not None
    printed = capsys.readouterr().out
    assert "8 hands" in printed and "PCK@0.10" in printed


def test_pck_is_scored_as_distance_over_the_longer_side_of_the_labelled_box(photo_set):
    """The figures, computed anew from the labels file."""
    predictor = Predictor(Seer(photo_set, 9.0))
    windows, _ = labelled_windows(photo_set, 128)
    windows = list(windows)
    figures = measure(predictor, windows).figures
    labels = json.loads((photo_set / "pseudo_labels.json").read_text())
    relative = []
    for window in windows:
        joints = np.array(labels[window.name][0]["joints_px"])
        shifted = window.crop.to_image(window.crop.to_crop(joints) + (9.0, 0))
        relative.append(np.linalg.norm(shifted - joints, axis=1) / np.ptp(joints, axis=0).max())
    assert figures["epe_of_box"] == pytest.approx(np.mean(relative), rel=0.01)
    assert figures["pck@0.10"] == pytest.approx(np.mean(np.concatenate(relative) <= 0.10), abs=0.1)


def test_a_network_that_always_agrees_on_the_side_scores_a_half(photo_set):
    class Yes(Seer):
        def __call__(self, images):
            return {**super().__call__(images), "left": np.ones((len(images), 1))}

    windows, _ = labelled_windows(photo_set, 128)
    figures = measure(Predictor(Yes(photo_set)), windows).figures
    assert figures["side_right"] == 0.5


def test_a_hand_taken_for_the_other_side_is_counted_apart(photo_set):
    """Against a network that knows the true joints of left hands, and places all others at a corner."""

    class OneSided(Seer):
        def __call__(self, images):
            seen = super().__call__(images)
            corner = gaussian_heatmaps(np.zeros((1, 21, 2)))
            wrong = np.ravel(seen["left"]) < 0.5
            return {**seen, "heatmaps": np.where(wrong[:, None, None, None], corner, seen["heatmaps"])}

    windows = list(labelled_windows(photo_set, 128)[0])
    for network, expected in ((Seer(photo_set), 1), (OneSided(photo_set), 0)):
        figures = measure(Predictor(network), windows).figures
        assert figures["pck@0.10"] == 1 and figures["pck@0.10_as_other_side"] == expected


def test_rendered_hands_have_3d_figures(tmp_path, monkeypatch):
    """Against a network that knows the truth, 30 mm too deep at the fingertips."""
    windows = list(rendered_windows(3, 5, 128))
    truth = np.array([window.joints_mm for window in windows])
    wrong = truth.copy()
    wrong[:, list(TIPS), 2] += 30

    class Renderer:
        input_size = 128

        def __call__(self, images):
            n, ones = len(images), np.ones((len(images), 21))
            joints = np.array([window.joints_px for window in windows])
            return {
                "heatmaps": gaussian_heatmaps(cells_from_px(joints, 128)), "joints_rel": 0.01 * wrong[:n],
                "confidence": ones, "presence": ones[:, :1], "left": ones[:, :1],
            }  # fmt: skip

    monkeypatch.setattr(evaluation, "load_predictor", lambda weights: Predictor(Renderer()))
    path = tmp_path / "figures.json"
    assert main(["test", "--i", "render", "--n", "3", "--seed", "5", "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    assert figures["n"] == 3 and figures["source"] == "render"
    assert figures["root_scale_mpjpe_mm"] == pytest.approx(30 * 5 / 21, rel=1e-4)
    expected = metrics.mpjpe(wrong, truth, "aligned by a similarity")
    assert figures["pa_mpjpe_mm"] == pytest.approx(expected.value, rel=1e-4) and expected.value > 1
    # Of 21 joints 16 are exact and 5 wrong by 30 mm, which counts from a third of the range on.
    assert figures["auc_20_50"] == pytest.approx(16 / 21 + 5 / 21 * 2 / 3, abs=0.01)
    assert figures["epe_px"] < 0.3


def test_rendered_hands_follow_from_the_seed():
    one, two, other = (next(rendered_windows(1, seed, 128)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.image, two.image)
    assert (one.image != other.image).any()
    np.testing.assert_allclose(one.crop.to_image(one.joints_px), one.joints_px)
    assert np.linalg.norm(one.joints_mm[9]) == 0 and 70 < np.linalg.norm(one.joints_mm[0]) < 120


def test_n_draws_the_same_hands_for_the_same_seed(photo_set):
    def names(seed):
        windows, count = labelled_windows(photo_set, 128, 4, seed)
        assert count == 4
        return [window.name for window in windows]

    assert names(1) == names(1)
    assert len({tuple(names(seed)) for seed in range(6)}) > 1


def test_videos_go_to_the_tracker_with_the_weights(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(unlabelled.subprocess, "run", lambda command, check: calls.append(command) or FakeEnd())
    video = tmp_path / "a.mp4"
    video.touch()
    output = str(tmp_path / "t.jsonl")
    assert main(["test", "--v", str(video), "--output", output, "--weights", "x.onnx"]) == 0
    assert main(["test", "--v", str(video), "--output", output, "--weights", "runs/x"]) == 0
    for command in calls:
        assert command[1:5] == ["-m", "tracker", "--video", str(video)]
        assert command[5:9] == ["--output", output, "--overlay", str(tmp_path / "t_overlay.mp4")]
    assert calls[0][9:] == ["--weights", "x.onnx"]
    assert calls[1][9:] == ["--weights", "runs/x", "--runtime", "keras"]
    monkeypatch.chdir(tmp_path)
    assert main(["test", "--v", "a.mp4"]) == 0
    assert calls[-1][5:] == ["--output", "a.jsonl", "--overlay", "a_overlay.mp4"], "never the video itself"
    monkeypatch.setattr(FakeEnd, "returncode", 1)
    assert main(["test", "--v", str(video)]) == 1
    assert "exit code 1" in capsys.readouterr().err


def test_a_real_video_is_tracked_and_drawn(shared_data, tmp_path):
    whole = cv2.VideoCapture(str(shared_data / "video" / "counting.mp4"))
    clip, output = tmp_path / "clip.mp4", tmp_path / "t.jsonl"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mp4v"), 30, (272, 480))
    for _ in range(10):
        writer.write(cv2.resize(whole.read()[1], (272, 480)))
    writer.release()
    assert main(["test", "--v", str(clip), "--output", str(output)]) == 0
    _, *rows = map(json.loads, output.read_text().splitlines())
    assert [row["frame"] for row in rows] == list(range(10)) and any(row["hands"] for row in rows)
    drawn, plain = (list(frames(video)) for video in (tmp_path / "t_overlay.mp4", clip))
    assert len(drawn) == len(plain) == 10
    changed = [np.abs(a.astype(int) - b).max(-1) > 60 for a, b in zip(drawn, plain, strict=True)]
    assert all(change.sum() > 500 for change, row in zip(changed, rows, strict=True) if row["hands"])


def frames(video):
    capture = cv2.VideoCapture(str(video))
    while (read := capture.read())[0]:
        yield read[1]


def test_pictures_without_labels_get_tracks_and_overlays(photo_set, tmp_path, monkeypatch):
    output = tmp_path / "t.jsonl"

    def tracked(command, check):
        assert command[3:5] == ["--images", str(photo_set / "images")]
        joints = [[10.0 + 5 * j, 60.0] for j in range(21)]
        rows = [
            {"format": "hand-track"},
            {"image": "0.png", "hands": [{"joints_px": joints, "confidence": [1.0] * 21}]},
        ]
        output.write_text("\n".join(map(json.dumps, [*rows, {"image": "1.png", "hands": []}])))
        return FakeEnd()

    monkeypatch.setattr(unlabelled.subprocess, "run", tracked)
    assert main(["test", "--i", str(photo_set / "images"), "--output", str(output)]) == 0
    first, second = (cv2.imread(str(tmp_path / "t_overlays" / f"{i}.png.jpg")).astype(int) for i in range(2))
    plain = [cv2.imread(str(photo_set / "images" / f"{i}.png")).astype(int) for i in range(2)]
    drawn, same = (np.abs(a - b).max(-1) > 60 for a, b in zip((first, second), plain, strict=True))
    assert drawn[55:66].sum() > 100 > 10 * drawn[:50].sum()
    assert same.sum() < 10  # what JPEG alone changes is less


class FakeEnd:
    returncode = 0


def test_summary_prints_the_papers_count(capsys):
    pytest.importorskip("tensorflow")
    assert main(["summary", "--network", "paper"]) == 0
    printed = capsys.readouterr().out
    assert "19,807,422" in printed and "res4d" in printed
    assert "1.276" in printed or "1.277" in printed


def test_ctrl_c_is_no_error(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "run", interrupted)
    assert main(["test", "--i", "render"]) == 0
    assert "stopped" in capsys.readouterr().err


def test_a_video_is_no_folder(tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"a video")
    assert main(["test", "--i", str(clip)]) == 1
    assert capsys.readouterr().err == f"regnet: {clip}: a file; --i takes a folder, and --v a video\n"
