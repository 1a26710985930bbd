"""The losses of GeoConGAN (Mueller et al. 2018, section 3.1): least-squares adversarial, cycle and geometric consistency.

Each is a mean over pixels or patches and over the batch. Pictures (N, S, S, 3) in -1..1, silhouettes (N, S, S, 1) 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

Call = Callable[[str, Any], Any]  # a network by name, called with pictures


@dataclass(frozen=True)
class Weights:
    """How much each term counts. Geometry 0 gives plain CycleGAN; the paper names no weights, these are what re-implementations use."""

    adversarial: float = 1.0
    cycle: float = 10.0
    geometric: float = 1.0
    identity: float = 0.0


def translator_losses(call: Call, batch: dict, weights: Weights) -> tuple[dict, dict]:
    """Compute the losses of both translators ("loss" is their weighted sum) and their pictures.

    `batch` holds synthetic, synthetic_mask, real and real_mask. Networks asked for: synth2real, real2synth, judge_real, judge_synth,
    and silnet where the geometric term counts.
    """
    synthetic, real = batch["synthetic"], batch["real"]
    as_real, as_synthetic = call("synth2real", synthetic), call("real2synth", real)
    back, real_back = call("real2synth", as_real), call("synth2real", as_synthetic)
    losses = {
        "adversarial_real": _towards(call("judge_real", as_real), 1.0),
        "adversarial_synth": _towards(call("judge_synth", as_synthetic), 1.0),
        "cycle_synth": _distance(back, synthetic),
        "cycle_real": _distance(real_back, real),
    }
    total = weights.adversarial * (losses["adversarial_real"] + losses["adversarial_synth"])
    total = total + weights.cycle * (losses["cycle_synth"] + losses["cycle_real"])
    if weights.geometric:
        losses["geometric_synth"] = silhouette_loss(call("silnet", as_real), batch["synthetic_mask"])
        losses["geometric_real"] = silhouette_loss(call("silnet", as_synthetic), batch["real_mask"])
        total = total + weights.geometric * (losses["geometric_synth"] + losses["geometric_real"])
    if weights.identity:
        losses["identity_synth"] = _distance(call("real2synth", synthetic), synthetic)
        losses["identity_real"] = _distance(call("synth2real", real), real)
        total = total + weights.identity * (losses["identity_synth"] + losses["identity_real"])
    losses["loss"] = total
    return losses, {"as_real": as_real, "as_synthetic": as_synthetic}


def judge_losses(call: Call, batch: dict) -> tuple[dict, dict]:
    """Compute the losses of both judges: real pictures towards 1, translations (from the pool: as_real, as_synthetic) towards 0."""
    losses = {
        "judge_real": _judged(call, "judge_real", batch["real"], batch["as_real"]),
        "judge_synth": _judged(call, "judge_synth", batch["synthetic"], batch["as_synthetic"]),
    }
    return {**losses, "loss": losses["judge_real"] + losses["judge_synth"]}, {}


def silhouette_loss(logits, mask):
    """Cross-entropy of silhouette logits (N, S, S, 1) with a 0/1 mask."""
    return ops.mean(ops.softplus(logits) - logits * mask)


def _judged(call: Call, judge: str, true, false):
    return 0.5 * (_towards(call(judge, true), 1.0) + _towards(call(judge, false), 0.0))


def _towards(score, wanted: float):
    return ops.mean(ops.square(score - wanted))


def _distance(a, b):
    return ops.mean(ops.abs(a - b))
