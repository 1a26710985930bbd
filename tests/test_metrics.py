"""Metrics: what each alignment forgives and what it does not, and curves against counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from handpose import metrics
from handpose.skeleton import M0, TIPS, WRIST

seeds = st.integers(0, 2**32 - 1)


def hands(seed, n=3):
    return np.random.default_rng(seed).normal(0, 40, (n, 21, 3))


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_each_alignment_forgives_exactly_what_it_says(seed):
    truth = hands(seed)
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, 300, 3)
    turned = truth @ Rotation.random(rng=rng).as_matrix().T
    scales = rng.uniform(0.3, 3, (3, 1, 1))
    changes = {
        "same": truth,
        "moved": truth + shift,
        "scaled and moved": truth * scales + shift,
        "turned": turned * scales + shift,
    }
    forgiven = {
        "absolute": ["same"],
        "absolute, error of depth left out": ["same"],
        "M0 aligned": ["same", "moved"],
        "W aligned": ["same", "moved"],
        "M0 and |W-M0| aligned": ["same", "moved", "scaled and moved"],
        "W and |W-M0| aligned": ["same", "moved", "scaled and moved"],
        "W and |M0-M1| aligned": ["same", "moved", "scaled and moved"],
        "fingertip centroid and spread aligned": ["same", "moved", "scaled and moved"],
        "aligned by a similarity": list(changes),
    }
    assert set(forgiven) == set(metrics.ALIGNMENTS)
    for alignment, names in forgiven.items():
        for name, predicted in changes.items():
            error = metrics.mpjpe(predicted, truth, alignment).value
            assert (error < 1e-9) == (name in names), (alignment, name, error)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_what_is_aligned_coincides(seed):
    predicted, truth = hands(seed), hands(seed + 1)
    palm = np.linalg.norm(truth[:, WRIST] - truth[:, M0], axis=-1)
    for root in (M0, WRIST):
        aligned = metrics.root_and_scale_aligned(predicted, truth, root)
        np.testing.assert_allclose(aligned[:, root], truth[:, root])
        np.testing.assert_allclose(np.linalg.norm(aligned[:, WRIST] - aligned[:, M0], axis=-1), palm)
    aligned = metrics.fingertips_and_scale_aligned(predicted, truth)
    np.testing.assert_allclose(aligned[:, list(TIPS)].mean(1), truth[:, list(TIPS)].mean(1))


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_similarity_is_the_best_one_and_never_mirrors(seed):
    predicted, truth = hands(seed), hands(seed + 1)
    error = (metrics.distances(metrics.procrustes_aligned(predicted, truth), truth) ** 2).sum(-1)
    for i in range(3):  # SciPy's may mirror, so it is a bound, and equal where it does not
        _, _, disparity = procrustes(truth[i], predicted[i])
        bound = disparity * ((truth[i] - truth[i].mean(0)) ** 2).sum()
        assert error[i] >= bound * (1 - 1e-9)
    flat = truth * (-1, 1, 1)
    assert metrics.mpjpe(flat, truth, "aligned by a similarity").value > 1
    rng = np.random.default_rng(seed)
    aligned = metrics.procrustes_aligned(predicted, truth)
    for _ in range(5):
        nudge = Rotation.from_rotvec(rng.normal(0, 0.01, 3)).as_matrix()
        centre = truth.mean(1, keepdims=True)
        other = (aligned - centre) @ nudge.T * rng.uniform(0.98, 1.02) + centre
        assert ((metrics.distances(other, truth) ** 2).sum(-1) >= error * (1 - 1e-12)).all()


def test_fingertip_alignment_needs_labelled_tips_only():
    truth = hands(3)
    predicted = 2 * truth + 5
    labelled = np.full(truth.shape, np.nan)
    labelled[:, list(TIPS)[:4]] = truth[:, list(TIPS)[:4]]
    score = metrics.mpjpe(predicted, labelled, "fingertip centroid and spread aligned")
    assert score.value < 1e-9 and score.joints == "4 joints"


def test_pck_and_auc_against_counting():
    distance = np.array([[0.0, 10, 20, np.nan], [30, 40, 50, 60]])
    assert metrics.pck(distance, 20) == pytest.approx(3 / 7)
    fine = np.linspace(20, 50, 20001)
    expected = np.mean([metrics.pck(distance, limit) for limit in fine[::20]])
    assert metrics.auc(distance, 20, 50, steps=3000) == pytest.approx(expected, abs=2e-3)
    assert metrics.auc(np.zeros((2, 21)), 20, 50) == 1
    assert metrics.auc(np.full((2, 21), 99.0), 20, 50) == 0


def test_where_nothing_is_known_no_figure_is_given():
    unknown = np.full((3, 21), np.nan)
    assert all(
        np.isnan(value)
        for value in (
            metrics.pck(unknown, 5),
            metrics.auc(unknown, 20, 50),
            metrics.mpjpe_of(unknown, "absolute").value,
        )
    )


def test_auc_is_linear_for_evenly_spread_errors():
    distance = np.linspace(0, 100, 100_001)
    assert metrics.auc(distance, 20, 50) == pytest.approx(0.35, abs=1e-3)


def test_endpoint_error_is_a_plain_distance():
    assert metrics.distances([[[3.0, 4.0]]], [[[0.0, 0.0]]]) == pytest.approx(np.array([[5.0]]))


def test_acceleration_error_of_a_parabola():
    time_s = np.arange(20) / 30
    truth = np.zeros((20, 21, 3))
    predicted = truth + 0.5 * 800 * time_s[:, None, None] ** 2 * np.array([1.0, 0, 0])
    score = metrics.acceleration_error(predicted, truth, 30)
    assert score.value == pytest.approx(800)
    assert str(score) == "acceleration error 800.000 mm/s^2 (absolute; 21 joints; n=18)"


def test_acceleration_is_counted_where_three_frames_in_a_row_show_the_hand():
    truth = np.random.default_rng(0).normal(0, 40, (12, 21, 3))
    predicted = truth + 0.5 * 9 * np.arange(12)[:, None, None] ** 2 * np.array([0, 1.0, 0])
    predicted[[2, 7]] = np.nan
    score = metrics.acceleration_error(predicted, truth, 1)
    assert (score.value, score.n) == (pytest.approx(9), 4)
    nowhere = metrics.acceleration_error(predicted[:3], truth[:3], 1)
    assert np.isnan(nowhere.value) and nowhere.n == 0


def test_a_score_prints_what_it_means():
    text = str(metrics.mpjpe(hands(1), hands(2), "W aligned"))
    assert "mm" in text and "W aligned" in text and "21 joints" in text and "n=3" in text
    left = metrics.aligned_distances(hands(1), hands(2), "absolute")
    assert str(metrics.auc_of(left, "absolute", 20, 50)).startswith("AUC 20-50 mm 0.")
