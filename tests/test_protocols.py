"""Each dataset's 3D figures: their alignments do not mix, and what is not labelled does not count."""

import json

import numpy as np
import pytest
from test_dexter import write_object
from tests_data import write_photo_set

from handpose import metrics
from handpose.heatmap import gaussian_heatmaps
from handpose.skeleton import DEFAULT_SCALE_MM, M0, TIPS, WRIST, Skeleton
from regnet import evaluate as evaluation
from regnet.cli import main
from regnet.predictor import Predictor
from regnet.protocols import ABSOLUTE, GENERAL, NO_DEPTH, PROTOCOLS, errors_3d, scores_3d

REST = Skeleton.default("left").rest_joints_mm


def noisy(n, seed=0, spread_mm=10.0):
    rng = np.random.default_rng(seed)
    truth = REST + rng.normal(0, 5, (n, 21, 3)) + (0, 0, 500)
    return truth + rng.normal(0, spread_mm, truth.shape), truth


def turned(joints):
    """Larger, elsewhere and rotated: a similarity."""
    c, s = np.cos(0.7), np.sin(0.7)
    return 1.3 * joints @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) + (40, -20, 300)


def scored(protocol, predicted, truth):
    return scores_3d(protocol, errors_3d(protocol, predicted, truth))


def values(protocol, predicted, truth):
    return {key: score.value for key, score in scored(protocol, predicted, truth).items()}


@pytest.mark.parametrize("kind", ["stb", "rhd", "freihand", "interhand"])
def test_figures_forgive_what_their_alignment_takes_away_and_nothing_more(kind):
    _, truth = noisy(6)
    scores = scored(PROTOCOLS[kind], 1.2 * truth + (7, 8, 9), truth)
    for score in scores.values():
        forgives = score.alignment not in ("W aligned", "M0 aligned")
        if score.unit == "mm":
            assert (score.value < 1e-6) == forgives, score
    for score in scored(PROTOCOLS[kind], turned(truth), truth).values():
        if score.unit == "mm":
            assert (score.value < 1e-6) == (score.alignment == "aligned by a similarity"), score


def test_roots_are_those_that_the_names_tell():
    predicted, truth = noisy(8)
    stb = values(PROTOCOLS["stb"], predicted, truth)
    expected = metrics.mpjpe(predicted, truth, "M0 and |W-M0| aligned").value
    assert stb["root_scale_mpjpe_mm"] == pytest.approx(expected)
    only_wrist = truth.copy()
    only_wrist[:, WRIST, 2] += 30  # moves all joints of a wrist aligned hand, M0 among them, and the scale
    shifted = values(PROTOCOLS["stb"], only_wrist, truth)
    assert shifted["wrist_scale_mpjpe_mm"] > 25 > shifted["root_scale_mpjpe_mm"]
    interhand = values(PROTOCOLS["interhand"], predicted, truth)
    assert interhand["root_mpjpe_mm"] == pytest.approx(metrics.mpjpe(predicted, truth, "M0 aligned").value)


def test_the_general_keys_stay():
    predicted, truth = noisy(5)
    assert set(values(GENERAL, predicted, truth)) == {"pa_mpjpe_mm", "root_scale_mpjpe_mm", "auc_20_50"}
    for kind in ("stb", "rhd", "freihand", "interhand"):
        assert set(values(GENERAL, predicted, truth)) <= set(values(PROTOCOLS[kind], predicted, truth))


def test_one_key_has_one_alignment():
    meaning = {}
    for protocol in (GENERAL, *PROTOCOLS.values()):
        for figure in protocol.figures:
            assert meaning.setdefault(figure.key, (figure.alignment, figure.range_mm)) == (
                figure.alignment,
                figure.range_mm,
            )


def test_tips_are_counted_on_frames_with_two_of_them():
    predicted, truth = noisy(4)
    truth[:, [j for j in range(21) if j not in TIPS]] = np.nan
    truth[1, TIPS[1:]] = np.nan
    truth[2, TIPS[2:]] = np.nan
    scores = scored(PROTOCOLS["dexter"], predicted, truth)
    names = ("mpjpe_mm", "auc_20_50", "auc_0_100")
    kinds = ("tips", "tips_absolute", "tips_no_depth")
    assert set(scores) == {f"{kind}_{name}" for kind in kinds for name in names}
    unaligned = (ABSOLUTE, NO_DEPTH)
    assert {(score.alignment in unaligned, score.n) for score in scores.values()} == {(False, 3), (True, 4)}
    assert {score.joints for score in scores.values()} == {"5 joints"}
    assert scores["tips_absolute_mpjpe_mm"].value == pytest.approx(np.nanmean(metrics.distances(predicted, truth)))
    kept = [0, 2, 3]
    aligned = metrics.fingertips_and_scale_aligned(predicted[kept], truth[kept])
    expected = np.nanmean(np.linalg.norm(aligned - truth[kept], axis=-1))
    assert scores["tips_mpjpe_mm"].value == pytest.approx(expected)
    alone = scored(PROTOCOLS["dexter"], predicted[1:2], truth[1:2])  # one tip has no spread, but a place
    assert {score.alignment for score in alone.values()} == {ABSOLUTE, NO_DEPTH}


def test_joints_that_are_not_known_do_not_count():
    predicted, truth = noisy(6)
    truth[0, 5] = np.nan
    truth[1, WRIST] = np.nan
    truth[2, M0] = np.nan
    scores = scored(PROTOCOLS["interhand"], predicted, truth)
    assert {key: score.n for key, score in scores.items()} == {
        "root_mpjpe_mm": 5, "pa_mpjpe_mm": 3, "root_scale_mpjpe_mm": 4, "auc_20_50": 4,
    }  # fmt: skip
    predicted[0, 5] = 1e6
    again = scored(PROTOCOLS["interhand"], predicted, truth)
    assert {key: score.value for key, score in again.items()} == {key: score.value for key, score in scores.items()}


class Upright:
    """Sees the same open hand in every window."""

    input_size = 128

    def __call__(self, images):
        n, ones = len(images), np.ones((len(images), 21))
        cells = 15.5 + (REST[:, :2] - REST[:, :2].mean(0)) * (1, -1) * 16 / np.ptp(REST[:, :2], axis=0).max()
        rel = (REST - REST[M0]) * (1, -1, -1) / DEFAULT_SCALE_MM
        return {
            "heatmaps": np.repeat(gaussian_heatmaps(cells)[None], n, 0), "joints_rel": np.repeat(rel[None], n, 0),
            "confidence": ones, "presence": ones[:, :1], "left": ones[:, :1],
        }  # fmt: skip


def measured(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "load_predictor", lambda weights: Predictor(Upright()))
    path = tmp_path / "figures.json"
    assert main(["test", "--i", str(folder), "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_dexter_is_measured_at_its_fingertips(tmp_path, monkeypatch, capsys):
    """The fixture shows the open hand that the network sees: its tips fit, but for the turn of the crops."""
    write_object(tmp_path / "dexter")
    figures = measured(tmp_path / "dexter", tmp_path, monkeypatch)
    assert figures["n"] == 3 and figures["tips_mpjpe_mm"] < 8 and figures["tips_auc_0_100"] > 0.9
    assert 0 <= figures["auc_2d_0_30_px"] <= 1
    assert not {"pa_mpjpe_mm", "root_scale_mpjpe_mm", "auc_20_50"} & set(figures)
    assert set(figures["alignments"].values()) == {"fingertip centroid and spread aligned", ABSOLUTE, NO_DEPTH}
    assert figures["tips_no_depth_mpjpe_mm"] < figures["tips_absolute_mpjpe_mm"]
    printed = capsys.readouterr().out
    assert (
        "3D protocol of Dexter+Object: fingertips, aligned by centroid and spread on frames with at least two"
        in printed
    )
    lines = [line for line in printed.splitlines() if "MPJPE" in line or "AUC 20" in line]
    assert sum("(fingertip centroid and spread aligned; 5 joints; n=3)" in line for line in lines) == 2
    assert sum("(absolute; 5 joints; n=3)" in line for line in lines) == 2


def test_sets_without_3d_name_no_3d_protocol(tmp_path, monkeypatch, capsys):
    figures = measured(write_photo_set(tmp_path / "photos", 2), tmp_path, monkeypatch)
    assert "protocol" not in figures and "3D" not in capsys.readouterr().out
    assert figures["n"] == 2


def test_freihand_is_measured_by_a_similarity(tmp_path, monkeypatch, capsys):
    from test_dataset_crops import write_freihand

    figures = measured(write_freihand(tmp_path / "f"), tmp_path, monkeypatch)
    assert figures["protocol"] == "PA-MPJPE" and figures["n"] == 5 and figures["pa_mpjpe_mm"] > 0
    printed = capsys.readouterr().out
    assert "PA-MPJPE" in printed.split("3D protocol of FreiHAND: PA-MPJPE\n")[1].splitlines()[0]
