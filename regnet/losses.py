"""The losses of RegNet, scaled as the paper's: sums over pixels and coordinates, halves, means over the batch only.

Keras' mean squared error in their place would overweight 3D by some 340 times (Mueller et al. 2018; Caffe's EuclideanLoss sums), which
is the known reason why re-implementations do not converge. What a sample lacks carries no loss. Three terms are added to the paper's:
the plain distances of final joints, before and after a similarity, and of the heatmaps' centroids, which is what metrics count, where
squares are ruled by the few joints that nobody can see.

Targets, all float32:
cells (N, 21, 2) joints [heatmap cells]; labelled (N, 21) how much the joint's place counts, 0 where it is unknown; inside (N, 21) 1
where it is in the crop; joints_rel (N, 21, 3), known_3d (N, 21) the same of it; flat (N,) the same where only 2D is known; presence (N, 1);
left (N, 1), has_left (N, 1) how much that counts; and where silhouettes are known, mask (N, 32, 32) 0..1, and masked (N,) how much it counts.
"""

from __future__ import annotations

from keras import ops

from handpose.heatmap import HEATMAP_SIGMA, HEATMAP_SIZE
from handpose.skeleton import M0, N_JOINTS, WRIST
from regnet.aligned import aligned

WEIGHT_3D = 100.0
WEIGHT_2D = 1.0
WEIGHT_DISTANCE = 60.0  # pulls four times as hard as the square does at the error of a trained network, 0.15
WEIGHT_SHAPE = 60.0
WEIGHT_PLACES = 2.0
WEIGHT_FLAT = 30.0
WEIGHT_SCORES = 5.0
WEIGHT_LEFT = 30.0  # the side is the hardest score to learn: it turns on palm or back alone
PEAK_WEIGHT = 9.0  # a pixel at a peak counts 1 + 9 times: the rest of a map is empty
MASK_RIM = 2  # cells: the map of a joint at the border of the hand reaches so far out
_SMOOTH = 0.01
_NEVER = -9.0  # below all that a map holds
_WEAK_MASS = 0.01  # of a map whose peak is 0.3
CONFIDENT_CELLS = 1.5  # at an error of so many cells (6 px of a 128 px crop) the confidence wanted is exp(-1/2)


def regnet_losses(outputs: dict, targets: dict) -> dict:
    """Compute every loss of a batch (scalars); "loss" is their weighted sum."""
    # The released network has a 22nd heatmap without a known meaning: it is left alone.
    outputs = {name: value[..., :N_JOINTS] if name.startswith("heatmaps") else value for name, value in outputs.items()}
    cells = targets["cells"]
    mid, final = outputs["joints_mid"], outputs["joints_rel"]
    losses = {
        "heatmaps": _heatmap_loss(outputs["heatmaps"], targets),
        "joints_mid": _joint_loss(mid, targets),
        "joints_rel": _joint_loss(final, targets),
        "distance": _distance_loss(final, targets),
        "shape": _shape_loss(final, targets),
        "places": _places_loss(outputs["heatmaps"], targets),
        "flat": _flat_loss(mid, targets) + _flat_loss(final, targets),
        "confidence": _confidence_loss(outputs, targets),
        "presence": ops.mean(_cross_entropy(outputs["presence"], targets["presence"])),
        "left": ops.mean(_cross_entropy(outputs["left"], targets["left"]) * targets["has_left"]),
        "error_cells": ops.sum(_peak_error(outputs["heatmaps"], cells) * targets["labelled"] * targets["inside"])
        / (ops.sum(targets["labelled"] * targets["inside"]) + 1e-6),
    }
    if "heatmaps_mid" in outputs:
        losses["heatmaps_mid"] = _heatmap_loss(outputs["heatmaps_mid"], targets)
    if "mask" in targets:
        losses["mask"] = _mask_loss(outputs["heatmaps"], targets)
    losses["loss"] = (
        WEIGHT_2D * (losses["heatmaps"] + losses.get("heatmaps_mid", 0.0) + losses.get("mask", 0.0))
        + WEIGHT_3D * (losses["joints_mid"] + losses["joints_rel"])
        + WEIGHT_DISTANCE * losses["distance"]
        + WEIGHT_SHAPE * losses["shape"]
        + WEIGHT_PLACES * losses["places"]
        + WEIGHT_FLAT * losses["flat"]
        + WEIGHT_SCORES * (losses["confidence"] + losses["presence"])
        + WEIGHT_LEFT * losses["left"]
    )
    return losses


def _heatmap_loss(heatmaps, targets):
    """Half the squared error, summed over pixels and labelled joints; a joint outside the crop has an empty map."""
    grid = ops.arange(HEATMAP_SIZE, dtype="float32")[None, :, None]
    x = ops.exp(-0.5 * ops.square((grid - targets["cells"][:, None, :, 0]) / HEATMAP_SIGMA))
    y = ops.exp(-0.5 * ops.square((grid - targets["cells"][:, None, :, 1]) / HEATMAP_SIGMA))
    wanted = y[:, :, None] * x[:, None] * targets["inside"][:, None, None]
    error = (1 + PEAK_WEIGHT * wanted) * ops.square(heatmaps - wanted)
    return 0.5 * ops.mean(ops.sum(error * targets["labelled"][:, None, None], axis=(1, 2, 3)))


def _mask_loss(heatmaps, targets):
    """Where a silhouette is all that tells of a joint: its map must be empty off the hand, and somewhere on the hand reach 1.

    The joint may be anywhere on the hand, so nothing else is said of the map there. Scaled as the heatmap loss.
    """
    hand = ops.max_pool(targets["mask"][..., None], 2 * MASK_RIM + 1, 1, padding="same")
    off = ops.sum((1 - hand) * ops.square(heatmaps), axis=(1, 2))
    peak = ops.max(ops.where(hand > 0.5, heatmaps, _NEVER), axis=(1, 2))
    error = off + (1 + PEAK_WEIGHT) * ops.square(ops.maximum(1 - peak, 0.0))
    return 0.5 * ops.mean(ops.sum(error * _true(targets["labelled"] == 0), axis=1) * targets["masked"])


def _joint_loss(joints, targets):
    """Half the squared error, summed over the coordinates of the joints whose 3D is known."""
    error = ops.sum(ops.square(joints - targets["joints_rel"]), axis=2)
    return 0.5 * ops.mean(ops.sum(error * targets["known_3d"], axis=1))


def _distance_loss(joints, targets):
    """Sum the distances of the joints whose 3D is known."""
    return ops.mean(ops.sum(_length(joints - targets["joints_rel"]) * targets["known_3d"], axis=1))


def _shape_loss(joints, targets):
    """Sum the distances that are left when a hand has been laid on its label: a hand turned or scaled as a whole has its shape."""
    laid, wanted = aligned(joints, targets["joints_rel"], targets["known_3d"])
    return ops.mean(ops.sum(_length(laid - wanted) * targets["known_3d"], axis=1))


def _places_loss(heatmaps, targets):
    """Sum the distances [cells] of the maps' centroids from the joints in the crop; a weak map has little to say.

    Cells count by the fourth power of what they hold: the noise of a thousand empty ones must not weigh.
    """
    mass = ops.square(ops.square(ops.relu(heatmaps)))
    axis = ops.arange(HEATMAP_SIZE, dtype="float32")[None, :, None]
    moments = [ops.sum(ops.sum(mass, axis=other) * axis, axis=1) for other in (1, 2)]
    total = ops.sum(mass, axis=(1, 2))[..., None]
    offsets = (ops.stack(moments, axis=-1) - total * targets["cells"]) / (total + _WEAK_MASS)
    return ops.mean(ops.sum(_length(offsets) * targets["labelled"] * targets["inside"], axis=1))


def _length(offsets):
    """Lengths of offsets (..., D), smooth at nothing, where they would have no gradient."""
    return ops.sqrt(ops.sum(ops.square(offsets), axis=-1) + _SMOOTH**2) - _SMOOTH


def _flat_loss(joints, targets):
    """Compare 3D joints to 2D labels alone: x and y must fit the picture after the best shift and scale, and |W-M0| be 1."""
    weight = _true(targets["labelled"] * targets["flat"][:, None] > 0)[..., None]
    count = ops.sum(weight, axis=1, keepdims=True) + 1e-6
    plane, cells = joints[..., :2], targets["cells"] / HEATMAP_SIZE
    plane = plane - ops.sum(plane * weight, axis=1, keepdims=True) / count
    cells = cells - ops.sum(cells * weight, axis=1, keepdims=True) / count
    spread = ops.sum(ops.square(cells) * weight, axis=(1, 2), keepdims=True) + 1e-6
    # Scaling the label to the prediction, relative to the prediction's own size, leaves no reward for shrinking.
    own = ops.sum(ops.square(plane) * weight, axis=(1, 2), keepdims=True) + 1e-2
    together = ops.sum(plane * cells * weight, axis=(1, 2), keepdims=True)
    misfit = 1 - ops.square(ops.maximum(together, 0.0)) / (own * spread)
    length = ops.sqrt(ops.sum(ops.square(joints[:, M0] - joints[:, WRIST]), axis=-1) + 1e-6)
    return ops.mean((4 * misfit[:, 0, 0] + 0.5 * ops.square(length - 1)) * targets["flat"])


def _confidence_loss(outputs, targets):
    """Cross-entropy to how near the decoded joint came: confidence learns the network's own error."""
    error = _peak_error(ops.stop_gradient(outputs["heatmaps"]), targets["cells"])
    wanted = ops.exp(-0.5 * ops.square(error / CONFIDENT_CELLS)) * targets["inside"]
    return ops.mean(ops.mean(_cross_entropy(outputs["confidence"], wanted) * targets["labelled"], axis=-1))


def _peak_error(heatmaps, cells):
    """Distance (N, 21) [cells] of each map's maximum from its label."""
    shape = ops.shape(heatmaps)
    best = ops.argmax(ops.reshape(heatmaps, (shape[0], HEATMAP_SIZE * HEATMAP_SIZE, shape[-1])), axis=1)
    best = ops.cast(best, "float32")
    y = ops.floor(best / HEATMAP_SIZE)
    x = best - y * HEATMAP_SIZE
    return ops.sqrt(ops.square(x - cells[..., 0]) + ops.square(y - cells[..., 1]) + 1e-12)


def _true(conditions):
    return ops.cast(conditions, "float32")


def _cross_entropy(logits, wanted):
    return ops.maximum(logits, 0.0) - logits * wanted + ops.log1p(ops.exp(-ops.abs(logits)))
