"""How the literature counts 3D errors on each dataset: which alignment, over which hands, up to which error.

RegNet sees a crop: it tells neither where the hand is nor how large. Where a figure does not align the scale, the hand is taken as
`DEFAULT_SCALE_MM` from W to M0; absolute figures need the whole tracker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handpose import metrics
from handpose.metrics import Score
from handpose.skeleton import DEFAULT_SCALE_MM, M0, N_JOINTS, TIPS, WRIST

SIMILAR, PALM, TIPS_ALIGNED = (
    "aligned by a similarity",
    "M0 and |W-M0| aligned",
    "fingertip centroid and spread aligned",
)
WRIST_PALM, WRIST_ALIGNED, M0_ALIGNED = "W and |W-M0| aligned", "W aligned", "M0 aligned"
_ALIGNMENTS: dict[str, metrics.Alignment] = metrics.ALIGNMENTS | {
    WRIST_PALM: lambda predicted, truth: metrics.root_and_scale_aligned(predicted, truth, WRIST)
}
_NEEDED = {
    SIMILAR: list(range(N_JOINTS)), PALM: [WRIST, M0], WRIST_PALM: [WRIST, M0], WRIST_ALIGNED: [WRIST], M0_ALIGNED: [M0]
}  # fmt: skip
_FEWEST_TIPS = 2  # that have a centroid and a spread


@dataclass(frozen=True)
class Figure:
    """One figure: its key in the JSON, the alignment, and the range of an AUC [mm]; a mean error without one."""

    key: str
    alignment: str
    range_mm: tuple[float, float] | None = None


@dataclass(frozen=True)
class Protocol:
    """The 3D figures of a kind of dataset, and what they are called; `in_pixels` adds the AUC of 2D errors up to so many px of the picture."""

    name: str
    figures: tuple[Figure, ...]
    in_pixels: float | None = None


_SIMILAR = Figure("pa_mpjpe_mm", SIMILAR)
_PALM = (Figure("root_scale_mpjpe_mm", PALM), Figure("auc_20_50", PALM, (20, 50)))
_GENERAL = (_SIMILAR, *_PALM)
_WRIST_PALM = (Figure("wrist_scale_mpjpe_mm", WRIST_PALM), Figure("wrist_auc_20_50", WRIST_PALM, (20, 50)))
_FINGERTIPS = (
    Figure("tips_mpjpe_mm", TIPS_ALIGNED),
    Figure("tips_auc_20_50", TIPS_ALIGNED, (20, 50)),
    Figure("tips_auc_0_100", TIPS_ALIGNED, (0, 100)),
)
GENERAL = Protocol("all joints, relative", _GENERAL)
_TIPS_PROTOCOL = Protocol("fingertips, frames with at least two of them labelled", _FINGERTIPS, 30.0)
_ROOT_PROTOCOL = Protocol("root and scale, M0 or W as the root", (*_PALM, *_WRIST_PALM, _SIMILAR))
PROTOCOLS = {
    "stb": _ROOT_PROTOCOL,
    "rhd": _ROOT_PROTOCOL,
    "dexter": _TIPS_PROTOCOL,
    "freihand": Protocol("PA-MPJPE", (_SIMILAR, Figure("pa_auc_0_50", SIMILAR, (0, 50)), *_PALM)),
    "interhand": Protocol(
        f"MPJPE root aligned, of hands taken as {DEFAULT_SCALE_MM} mm from W to M0",
        (Figure("wrist_mpjpe_mm", WRIST_ALIGNED), Figure("root_mpjpe_mm", M0_ALIGNED), *_GENERAL),
    ),
}


def scores_3d(protocol: Protocol, predicted_mm: np.ndarray, truth_mm: np.ndarray) -> dict[str, Score]:
    """Compare 3D joints (N, 21, 3) [mm], NaN in the truth where it is unknown, by a protocol: its figures by key.

    A figure counts the hands that its alignment is defined for; without any, it is left out.
    """
    known = np.isfinite(truth_mm).all(-1)
    found = {}
    for figure in protocol.figures:
        hands = _alignable(figure.alignment, known)
        if hands.any():
            found[figure.key] = _score(figure, predicted_mm[hands], truth_mm[hands])
    return found


def _score(figure: Figure, predicted_mm: np.ndarray, truth_mm: np.ndarray) -> Score:
    error = metrics.distances(_ALIGNMENTS[figure.alignment](predicted_mm, truth_mm), truth_mm)
    joints = f"{int(np.isfinite(error).any(0).sum())} joints"
    if figure.range_mm is None:
        name = "PA-MPJPE" if figure.alignment == SIMILAR else "MPJPE"
        return Score(name, float(np.nanmean(error)), "mm", figure.alignment, joints, len(error))
    low, high = figure.range_mm
    return Score(f"AUC {low:g}-{high:g} mm", metrics.auc(error, low, high), "", figure.alignment, joints, len(error))


def _alignable(alignment: str, known: np.ndarray) -> np.ndarray:
    """Say for which hands an alignment is defined, from the joints (N, 21) that are known."""
    if alignment == TIPS_ALIGNED:
        return known[:, TIPS].sum(-1) >= _FEWEST_TIPS
    return known[:, _NEEDED[alignment]].sum(-1) == len(_NEEDED[alignment])
