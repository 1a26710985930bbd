"""RegNet's losses: scaled as sums, silent about what a sample lacks, and zero for the right answer."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from handpose.heatmap import gaussian_heatmaps
from handpose.kinematics import forward_kinematics
from handpose.skeleton import M0, WRIST, Skeleton
from regnet.losses import regnet_losses


def perfect(rng, n=3, n_maps=21):
    """Targets and the outputs that answer them."""
    skeleton = Skeleton.default("left")
    joints = np.stack(
        [forward_kinematics(skeleton, np.r_[0, 0, 500, rng.normal(0, 0.5, 3), np.full(20, 0.2)]) for _ in range(n)]
    )
    rel = (joints - joints[:, M0, None]) / np.linalg.norm(joints[:, WRIST] - joints[:, M0], axis=-1)[:, None, None]
    cells = 15.5 + 6 * rel[..., :2]
    targets = {
        "cells": cells, "labelled": np.ones((n, 21)), "inside": np.ones((n, 21)), "joints_rel": rel, "known_3d": np.ones((n, 21)),
        "flat": np.zeros(n), "presence": np.ones((n, 1)), "left": np.ones((n, 1)), "has_left": np.ones((n, 1)),
    }  # fmt: skip
    maps = np.zeros((n, 32, 32, n_maps))
    maps[..., :21] = np.moveaxis(gaussian_heatmaps(cells), 1, -1)
    outputs = {
        "heatmaps": maps, "joints_mid": rel, "joints_rel": rel, "confidence": np.full((n, 21), 30.0),
        "presence": np.full((n, 1), 30.0), "left": np.full((n, 1), 30.0),
    }  # fmt: skip
    return as_float(outputs), as_float(targets)


def as_float(arrays):
    return {name: np.asarray(value, np.float32) for name, value in arrays.items()}


def compute(outputs, targets):
    return {name: float(value) for name, value in regnet_losses(outputs, targets).items()}


def test_the_right_answer_costs_nothing():
    losses = compute(*perfect(np.random.default_rng(0)))
    for name in ("heatmaps", "joints_mid", "joints_rel", "distance", "shape", "flat", "presence", "left"):
        assert losses[name] == pytest.approx(0, abs=1e-5), name
    assert losses["places"] < 21 * 0.02, "a Gaussian's centroid is its place but for the grid"
    assert losses["error_cells"] < 0.72, "the maximum is at most half a cell from the joint on each axis"


def test_losses_sum_over_coordinates_and_halve():
    outputs, targets = perfect(np.random.default_rng(1))
    outputs["joints_rel"] = outputs["joints_rel"] + np.float32(0.1)
    losses = compute(outputs, targets)
    assert losses["joints_rel"] == pytest.approx(0.5 * 63 * 0.01, rel=1e-4)
    assert losses["loss"] > 100 * losses["joints_rel"]


def test_heatmap_loss_sums_over_pixels():
    outputs, targets = perfect(np.random.default_rng(2))
    targets["inside"][:] = 0  # every map should be empty
    outputs["heatmaps"][:] = 0.1
    assert compute(outputs, targets)["heatmaps"] == pytest.approx(0.5 * 21 * 1024 * 0.01, rel=1e-4)


def test_distances_sum_over_joints():
    outputs, targets = perfect(np.random.default_rng(10))
    outputs["joints_rel"] = outputs["joints_rel"] + np.float32([0.3, 0.4, 0.0])
    outputs["heatmaps"] = np.roll(outputs["heatmaps"], (3, 4), axis=(1, 2))
    losses = compute(outputs, targets)
    assert losses["distance"] == pytest.approx(21 * 0.5, rel=0.03)
    assert losses["places"] == pytest.approx(21 * 5, rel=0.03)


def test_a_hand_turned_scaled_and_shifted_has_its_shape_and_a_mirrored_one_has_not():
    outputs, targets = perfect(np.random.default_rng(11))
    joints = outputs["joints_rel"]
    outputs["joints_rel"] = np.float32(1.3) * joints[..., [2, 0, 1]] + np.float32([0.1, -0.4, 0.2])
    losses = compute(outputs, targets)
    assert losses["shape"] == pytest.approx(0, abs=1e-4)
    assert losses["distance"] > 5
    outputs["joints_rel"] = joints * np.float32([-1, 1, 1])
    assert compute(outputs, targets)["shape"] > 1


def test_weak_maps_have_little_say_in_places_and_empty_ones_none():
    outputs, targets = perfect(np.random.default_rng(11))
    outputs["heatmaps"] = np.roll(outputs["heatmaps"], 4, axis=1)
    weak = compute(outputs | {"heatmaps": np.float32(0.1) * outputs["heatmaps"]}, targets)["places"]
    assert 0 < weak < 0.1 * compute(outputs, targets)["places"]
    assert compute(outputs | {"heatmaps": 0 * outputs["heatmaps"] - 1}, targets)["places"] == 0
    targets["inside"][:] = 0
    assert compute(outputs, targets)["places"] == 0


def test_a_22nd_heatmap_is_left_alone():
    outputs, targets = perfect(np.random.default_rng(3), n_maps=22)
    before = compute(outputs, targets)["loss"]
    outputs["heatmaps"][..., 21] = 5.0
    assert compute(outputs, targets)["loss"] == before


@pytest.mark.parametrize(
    ("switch", "output", "loss"),
    [("labelled", "heatmaps", "heatmaps"), ("known_3d", "joints_rel", "joints_rel"), ("known_3d", "joints_mid", "joints_mid"),
     ("known_3d", "joints_rel", "distance"), ("known_3d", "joints_rel", "shape"), ("labelled", "heatmaps", "places"), ("has_left", "left", "left"),
     ("labelled", "confidence", "confidence"), ("flat", "joints_rel", "flat")],
)  # fmt: skip
def test_what_is_not_labelled_carries_no_loss(switch, output, loss):
    outputs, targets = perfect(np.random.default_rng(4))
    targets["flat"][:] = 1
    outputs[output] = -outputs[output] + np.float32(0.5)
    assert compute(outputs, targets)[loss] > 0.01
    targets[switch][:] = 0
    assert compute(outputs, targets)[loss] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "loss", ["heatmaps", "joints_mid", "joints_rel", "distance", "shape", "places", "flat", "confidence"]
)
def test_a_hand_that_weighs_less_carries_that_much_less_of_every_joint_loss(loss):
    outputs, targets = perfect(np.random.default_rng(4))
    targets["flat"][:] = 1
    outputs = {name: np.float32(0.5) - value for name, value in outputs.items()}
    whole = compute(outputs, targets)[loss]
    for weight in ("labelled", "known_3d", "flat"):
        targets[weight] *= np.float32(0.25)
    assert compute(outputs, targets)[loss] == pytest.approx(0.25 * whole, rel=1e-5)


def test_each_joint_whose_3d_is_known_counts_alone():
    """Missing joints take their own share of the sum away and leave that of the others."""
    outputs, targets = perfect(np.random.default_rng(7))
    outputs["joints_rel"] = outputs["joints_rel"] + np.float32(0.1)
    targets["known_3d"][0] = 0
    targets["known_3d"][1, 5:] = 0
    targets["joints_rel"][1, 5:] = 1e3
    expected = 0.5 * (0 + 5 + 21) / 3 * 3 * 0.01
    assert compute(outputs, targets)["joints_rel"] == pytest.approx(expected, rel=1e-4)


def test_flat_labels_fix_3d_up_to_depth_scale_and_shift():
    outputs, targets = perfect(np.random.default_rng(5))
    targets["flat"][:] = 1
    outputs["joints_rel"] = outputs["joints_rel"] + np.float32(0.3)
    targets["cells"] = targets["cells"] * np.float32(0.5) + np.float32(3)
    assert compute(outputs, targets)["flat"] == pytest.approx(0, abs=0.02)
    outputs["joints_rel"][:, 5:9, 1] *= -1
    assert compute(outputs, targets)["flat"] > 0.05


def test_confidence_learns_the_distance():
    """A joint decoded far from its label wants low confidence, one at its label high."""
    outputs, targets = perfect(np.random.default_rng(6))
    near = compute(outputs, targets)["confidence"]
    targets["cells"] = targets["cells"] + np.float32(8)
    assert compute(outputs, targets)["confidence"] > near + 5


def masked(rng):
    """Samples of which a silhouette is known and no joint: the hand covers the left half, its maps' peaks lie on it."""
    outputs, targets = perfect(rng)
    targets["labelled"][:] = targets["known_3d"][:] = 0
    targets["mask"] = np.zeros((3, 32, 32), np.float32)
    targets["mask"][:, :, :16] = 1
    targets["masked"] = np.ones(3, np.float32)
    cells = rng.uniform(3, 14, (3, 21, 2))
    outputs["heatmaps"] = np.moveaxis(gaussian_heatmaps(np.round(cells)), 1, -1).astype(np.float32)
    return outputs, targets


def test_a_silhouette_alone_wants_joints_on_the_hand():
    outputs, targets = masked(np.random.default_rng(8))
    on_it = compute(outputs, targets)
    assert on_it["mask"] < 0.01
    assert on_it["loss"] - on_it["mask"] == pytest.approx(compute(outputs, targets | {"masked": np.zeros(3)})["loss"])
    off_it = compute(outputs | {"heatmaps": outputs["heatmaps"][:, :, ::-1]}, targets)["mask"]
    empty = compute(outputs | {"heatmaps": 0 * outputs["heatmaps"]}, targets)["mask"]
    assert off_it > empty > 0.5 * 21 * 9, "neither a joint beside the hand nor none at all is an answer"


def test_a_silhouette_pulls_up_maps_that_are_below_nothing_all_over_the_hand():
    outputs, targets = masked(np.random.default_rng(8))
    low = np.full_like(outputs["heatmaps"], -0.01)
    higher = low.copy()
    higher[:, 5, 5] += 0.005  # on the hand, and still below nothing
    before, after = (compute(outputs | {"heatmaps": maps}, targets)["mask"] for maps in (low, higher))
    assert after < before - 0.5


def test_a_silhouette_says_nothing_of_labelled_joints_or_of_other_samples():
    outputs, targets = masked(np.random.default_rng(9))
    outputs["heatmaps"] = outputs["heatmaps"][:, :, ::-1]
    whole = compute(outputs, targets)["mask"]
    targets["masked"][0] = 0
    assert compute(outputs, targets)["mask"] == pytest.approx(whole * 2 / 3, rel=0.05)
    targets["labelled"][1] = 1
    targets["labelled"][2, 7:] = 1
    assert compute(outputs, targets)["mask"] == pytest.approx(whole / 9, rel=0.05)
