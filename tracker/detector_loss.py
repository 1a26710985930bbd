"""The detector's losses."""

from __future__ import annotations

from keras import ops


def detector_losses(outputs: dict, targets: dict) -> dict:
    """Compute every loss of a batch (scalars); "loss" is their weighted sum. `targets` holds the maps and known (N, G, G, 1), 0 where a cell may hide an unlabelled hand."""
    near, count = targets["near"], ops.sum(targets["near"]) + 1.0
    losses = {
        "centre": _focal(outputs["centre"], targets["centre"], targets["known"]),
        "box": ops.sum(ops.abs(outputs["box"] - targets["box"]) * near) / count,
        "offset": ops.sum(ops.abs(outputs["offset"] - targets["offset"]) * near) / count,
        "roll": ops.sum(ops.abs(outputs["roll"] - targets["roll"]) * near) / count,
        "left": ops.sum(_cross_entropy(outputs["left"], targets["left"]) * near * targets["has_left"]) / count,
    }
    losses["loss"] = losses["centre"] + losses["box"] + 0.3 * losses["offset"] + losses["roll"] + losses["left"]
    return losses


def _focal(logits, wanted, known):
    """Penalty-reduced focal loss (Law and Deng 2018, equation 1) of a map of peaks, per hand."""
    chance = ops.sigmoid(logits)
    log_yes, log_no = -ops.softplus(-logits), -ops.softplus(logits)
    is_peak = ops.cast(wanted > 0.999, "float32")
    loss = is_peak * ops.square(1 - chance) * log_yes
    loss = loss + (1 - is_peak) * ops.power(1 - wanted, 4.0) * ops.square(chance) * log_no
    return -ops.sum(loss * ops.maximum(known, is_peak)) / (ops.sum(is_peak) + 1.0)


def _cross_entropy(logits, wanted):
    return ops.softplus(logits) - logits * wanted
