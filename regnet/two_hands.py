"""Pictures of one hand and of two: MPJPE apart for both kinds, MRRPE and handedness, as Moon et al. 2020 (InterHand2.6M) count them.

Definitions are those of their section 6 and of the evaluation code they released. What differs is what is looked at: this network sees
the labelled crop of one hand after the other, and how many there are is known to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handpose import metrics
from handpose.metrics import Score
from handpose.skeleton import WRIST, Side
from regnet.protocols import BETWEEN_WRISTS, WRIST_ALIGNED


@dataclass(frozen=True, eq=False)
class HandInPicture:
    """A hand as it was measured: joints (21, 3) in the axes of the picture's camera [mm], NaN in the truth where unknown.

    `side` and `sides_shown`, those of all hands in the picture, are labels; `told` is the side that the network tells without knowing
    them, None where it sees no hand.
    """

    picture: str
    side: Side
    sides_shown: tuple[Side, ...] | None
    told: Side | None
    predicted_mm: np.ndarray
    truth_mm: np.ndarray


def two_hand_scores(hands: Sequence[HandInPicture]) -> dict[str, Score]:
    """Give MPJPE of all hands, of single and of interacting ones, and MRRPE, by key; those that no hand is there for are left out."""
    predicted, truth = (np.array([getattr(hand, name) for hand in hands]) for name in ("predicted_mm", "truth_mm"))
    errors = metrics.aligned_distances(predicted, truth, WRIST_ALIGNED)
    left = np.array([hand.side == "left" for hand in hands])
    shown = np.array([len(hand.sides_shown or ()) for hand in hands])
    scores = {}
    for kind, chosen in (("all", shown >= 0), ("single", shown == 1), ("interacting", shown == 2)):
        counted = chosen & np.isfinite(errors).any(-1)
        if counted.any():
            score = metrics.mpjpe_of(errors[counted], WRIST_ALIGNED)
            value = _mean_of_joints(errors[counted], left[counted])
            scores[f"mpjpe_{kind}_mm"] = replace(score, name=f"MPJPE, {kind} hands", value=value)
    pairs = [{hand.side: hand for hand in own} for own in _by_picture(hands) if len(own) == 2]
    pairs = [pair for pair in pairs if all(np.isfinite(hand.truth_mm[WRIST]).all() for hand in pair.values())]
    if pairs:
        scores["mrrpe_mm"] = _mrrpe(pairs)
    return scores


def handedness(hands: Sequence[HandInPicture]) -> tuple[int, int]:
    """Count the pictures where the presence of a right and of a left hand are both told right, and those that it can be told for.

    These are the pictures whose hands are known for sure, and were all looked at.
    """
    right = [
        {hand.told for hand in own if hand.told} == set(own[0].sides_shown)
        for own in _by_picture(hands)
        if own[0].sides_shown and len(own) == len(own[0].sides_shown)
    ]
    return sum(right), len(right)


def _by_picture(hands: Sequence[HandInPicture]) -> list[list[HandInPicture]]:
    pictures: dict[str, list[HandInPicture]] = {}
    for hand in hands:
        pictures.setdefault(hand.picture, []).append(hand)
    return list(pictures.values())


def _mean_of_joints(errors: np.ndarray, left: np.ndarray) -> float:
    """Average errors (N, 21), each of the 42 joints for itself first, so that one seldom labelled counts as much as any."""
    of_both = np.concatenate([np.where(left[:, None] == side, errors, np.nan) for side in (False, True)], axis=1)
    return float(np.nanmean(of_both[:, np.isfinite(of_both).any(0)], axis=0).mean())


def _mrrpe(pairs: Sequence[dict[Side, HandInPicture]]) -> Score:
    """Give the mean relative-root position error: of the way from the right wrist to the left one, in pictures with both."""
    ways = (
        np.array([getattr(pair["left"], name)[WRIST] - getattr(pair["right"], name)[WRIST] for pair in pairs])
        for name in ("predicted_mm", "truth_mm")
    )
    return Score("MRRPE", float(metrics.distances(*ways).mean()), "mm", BETWEEN_WRISTS, "1 joint", len(pairs))
