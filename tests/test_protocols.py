"""Each dataset's 3D figures: their alignments do not mix, and what is not labelled does not count."""

import json

import numpy as np
import pytest
import test_interhand
import test_rhd
import test_stb
from test_dataset_crops import write_freihand
from test_dexter import write_object
from tests_data import write_photo_set

from handpose import metrics
from handpose.data import stb
from handpose.heatmap import gaussian_heatmaps
from handpose.palm import IN_PLACE, MIDWAY
from handpose.skeleton import DEFAULT_SCALE_MM, M0, TIPS, WRIST, Skeleton
from regnet import evaluate as evaluation
from regnet.cli import main
from regnet.predictor import Predictor
from regnet.protocols import ABSOLUTE, GENERAL, NO_DEPTH, PALM_BONE, PROTOCOLS, SIMILAR, errors_3d, scores_3d

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


@pytest.mark.parametrize("wrist", ["ring", "fingers"])
def test_the_palm_is_the_labelled_one_and_that_between_the_networks_joints(wrist):
    """By hand as hand3d goes: palms at zero, the bone M0-M1 scaled, visible joints pooled."""
    predicted, labelled = noisy(7)  # what is labelled has the palm in the place of W
    palm = stb.PALMS[wrist]
    truth = labelled.copy()
    truth[:, WRIST] = palm.wrist(labelled)
    visible = np.random.default_rng(1).random((7, 21)) < 0.7
    visible[:2, WRIST], visible[:2, M0] = False, (True, False)
    expected = []
    for p, t, seen in zip(predicted, labelled, visible, strict=True):
        p = np.vstack([(p[0] + p[9]) / 2, p[1:]])
        p = (p - p[0]) * np.linalg.norm(t[10] - t[9]) / np.linalg.norm(p[10] - p[9])
        apart = np.linalg.norm(p - (t - t[0]), axis=1)
        expected += [apart[joint] for joint in range(21) if (seen[joint] if joint else seen[0] or seen[9])]
    protocol = PROTOCOLS["stb"].on(palm)
    scores = scores_3d(protocol, errors_3d(protocol, predicted, truth, visible))
    assert scores["palm_bone_mpjpe_mm"].value == pytest.approx(np.mean(expected))
    assert scores["palm_bone_mpjpe_mm"].alignment == PALM_BONE and palm.note in protocol.notes
    whole = scores_3d(protocol, errors_3d(protocol, predicted, truth))
    assert whole["palm_bone_mpjpe_mm"].value != scores["palm_bone_mpjpe_mm"].value
    assert whole["wrist_bone_mpjpe_mm"] == scores["wrist_bone_mpjpe_mm"], "hidden joints count elsewhere"


def test_a_palm_in_the_wrists_place_is_compared_with_what_stands_there():
    predicted, truth = noisy(5)
    protocol = PROTOCOLS["rhd"].on(IN_PLACE)
    scores = scored(protocol, predicted, truth)
    assert {score.alignment for score in scores.values()} == {PALM_BONE, SIMILAR}
    wrist = metrics.mpjpe(predicted, truth, "W and |M0-M1| aligned").value
    assert scores["palm_bone_mpjpe_mm"].value == pytest.approx(wrist)
    assert values(PROTOCOLS["rhd"].on(MIDWAY), predicted, truth)["palm_bone_mpjpe_mm"] != pytest.approx(wrist)
    assert PROTOCOLS["freihand"].on(None) is PROTOCOLS["freihand"]


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


def measured(folder, tmp_path, monkeypatch, *options):
    monkeypatch.setattr(evaluation, "load_predictor", lambda weights: Predictor(Upright()))
    path = tmp_path / "figures.json"
    assert main(["test", "--i", str(folder), "--json", str(path), *options]) == 0
    return json.loads(path.read_text())


def test_dexter_is_measured_at_its_fingertips(tmp_path, monkeypatch, capsys):
    """The fixture shows the open hand that the network sees: its tips fit, but for the turn of the crops."""
    write_object(tmp_path / "dexter")
    figures = measured(tmp_path / "dexter", tmp_path, monkeypatch)
    assert figures["n"] == 3 and figures["tips_mpjpe_mm"] < 8 and figures["tips_auc_0_100"] > 0.9
    assert 0 <= figures["auc_2d_0_30_px"] <= 1
    assert not {"pa_mpjpe_mm", "root_scale_mpjpe_mm", "auc_20_50"} & set(figures)
    told = {value for key, value in figures.items() if key.endswith("_alignment")}
    assert told == {"fingertip centroid and spread aligned", ABSOLUTE, NO_DEPTH}
    assert figures["tips_no_depth_mpjpe_mm"] < figures["tips_absolute_mpjpe_mm"]
    printed = capsys.readouterr().out
    assert (
        "3D protocol of Dexter+Object: fingertips, aligned by centroid and spread on frames with at least two"
        in printed
    )
    lines = [line for line in printed.splitlines() if "MPJPE" in line or "AUC 20" in line]
    assert sum("(fingertip centroid and spread aligned; 5 joints; n=3)" in line for line in lines) == 2
    assert sum("(absolute; 5 joints; n=3)" in line for line in lines) == 2


def test_stb_is_measured_in_the_views_that_papers_take(tmp_path, monkeypatch, capsys):
    for sequence in ("B1Random", "B2Random"):
        test_stb.write(tmp_path / "stb", sequence)
    figures = measured(tmp_path / "stb", tmp_path, monkeypatch)
    said = capsys.readouterr().out
    assert (figures["n"], figures["n_BB_left"], figures["n_BB_right"]) == (6, 3, 3) and "n_SK_color" not in figures
    assert "stb: 6 hands (BB_left 3, BB_right 3), its held_out side, each" in said and "R0 + 2 (palm - R0)" in said
    assert figures["palm_bone_auc_20_50_alignment"] == PALM_BONE and figures["split"] == "held_out"
    every = measured(tmp_path / "stb", tmp_path, monkeypatch, "--read", "views=all", "wrist=fingers")
    assert (every["n"], every["n_SK_color"]) == (9, 3) and "2.25 (palm - each)" in capsys.readouterr().out
    whole = ("--split", "all", "--read", "views=BB_left")
    left = measured(tmp_path / "stb", tmp_path, monkeypatch, *whole, "wrist=fingers")
    ring = measured(tmp_path / "stb", tmp_path, monkeypatch, *whole)
    assert left["n"] == left["n_BB_left"] == 6 and left["split"] is None
    assert left["wrist_scale_mpjpe_mm"] != pytest.approx(ring["wrist_scale_mpjpe_mm"], rel=0.02)
    palm = measured(tmp_path / "stb", tmp_path, monkeypatch, "--read", "wrist=palm")
    assert "palm_bone_mpjpe_mm" in palm and not {"wrist_scale_mpjpe_mm", "root_scale_mpjpe_mm"} & set(palm)


def test_rhd_counts_the_hand_of_the_mask_and_hidden_joints_not_everywhere(tmp_path, monkeypatch):
    test_rhd.write(tmp_path / "evaluation", {0: test_rhd.labels(21, 12), 1: test_rhd.labels(12, 21)}, "evaluation")
    folder = tmp_path / "evaluation"
    figures = measured(folder, tmp_path, monkeypatch, "--split", "held_out")
    assert (figures["n"], figures["n_evaluation"]) == (2, 2) and "n_training" not in figures
    shown = measured(folder, tmp_path, monkeypatch, "--read", "hands=all")
    assert shown["n"] == 4
    assert not {"wrist_bone_mpjpe_mm"} & set(measured(folder, tmp_path, monkeypatch, "--read", "palm=true"))


def test_raw_labels_are_tested_beside_corrected_ones(tmp_path, monkeypatch):
    labels = write_object(tmp_path / "dexter")
    labels.with_name(f"my_{labels.name}").write_text(labels.read_text())
    names = [measured(tmp_path / "dexter", tmp_path, monkeypatch, *options)["dataset"]
             for options in ((), ("--read", "corrected=false"), ("--read", "corrected=true"))]  # fmt: skip
    assert names == ["Dexter+Object-corrected", "Dexter+Object", "Dexter+Object-corrected"]


def test_val_and_test_of_interhand_are_measured_apart(tmp_path, monkeypatch, capsys):
    for split, count in (("val", 1), ("test", 2)):
        test_interhand.released(tmp_path / "set", count, split=split, folder=f"annotations/{split}")
    both = measured(tmp_path / "set", tmp_path, monkeypatch, "--split", "held_out")
    assert (both["n_images/val"], both["n_images/test"]) == (2, 4)
    assert "papers test on test or val alone" in capsys.readouterr().out
    assert measured(tmp_path / "set", tmp_path, monkeypatch)["n"] == 4, "test, as in most papers"
    assert main(["test", "--i", str(write_object(tmp_path / "d").parents[3]), "--split", "val"]) == 1
    assert "dexter has no split" in capsys.readouterr().err
    assert main(["test", "--i", str(write_photo_set(tmp_path / "p", 2)), "--split", "val"]) == 1
    assert "photos has no split val; it has train, held_out" in capsys.readouterr().err


def test_sets_without_3d_name_no_3d_protocol(tmp_path, monkeypatch, capsys):
    figures = measured(write_photo_set(tmp_path / "photos", 2), tmp_path, monkeypatch)
    said = capsys.readouterr().out
    assert (figures["n"], figures["dataset"], figures["protocol"]) == (2, "photos", "2D only")
    assert "  protocol of photos: 2D only" in said and "3D" not in said


def test_all_is_measured_where_the_side_on_which_papers_test_is_not_there(tmp_path, monkeypatch, capsys):
    test_stb.write(tmp_path / "stb", "B2Random")
    figures = measured(tmp_path / "stb", tmp_path, monkeypatch)
    assert (figures["n"], figures["split"]) == (6, None)
    said = capsys.readouterr().out
    assert "all of it" in said and "pictures that networks learn from" in said
    assert main(["test", "--i", str(tmp_path / "stb"), "--split", "held_out"]) == 1, "as it was asked for"
    first_release = write_freihand(tmp_path / "freihand", evaluation_labels=False)
    assert measured(first_release, tmp_path, monkeypatch)["split"] is None
    for split in ("train", "val"):
        test_interhand.released(tmp_path / "hands", split=split, folder=f"annotations/{split}")
    capsys.readouterr()
    assert measured(tmp_path / "hands", tmp_path, monkeypatch)["split"] == "held_out", "val alone"
    assert "networks learn from" not in capsys.readouterr().out


def test_freihand_is_measured_by_a_similarity(tmp_path, monkeypatch, capsys):
    figures = measured(write_freihand(tmp_path / "f"), tmp_path, monkeypatch, "--split", "all")
    assert figures["protocol"] == "PA-MPJPE" and figures["n"] == 5 and figures["pa_mpjpe_mm"] > 0
    printed = capsys.readouterr().out
    assert "PA-MPJPE" in printed.split("3D protocol of FreiHAND: PA-MPJPE\n")[1].splitlines()[0]
