"""How the literature counts 3D errors on each dataset: which alignment, over which hands, up to which error.

RegNet sees a crop: it tells neither how large the hand is nor how far away. Where a figure does not align the scale, the hand is taken as
`DEFAULT_SCALE_MM` from W to M0, and put where it projects onto its 2D joints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from handpose import metrics
from handpose.metrics import Score
from handpose.skeleton import DEFAULT_SCALE_MM, JOINT_NAMES, M0, N_JOINTS, TIPS, WRIST

ABSOLUTE, NO_DEPTH, SIMILAR, PALM, TIPS_ALIGNED = (
    "absolute",
    "absolute, error of depth left out",
    "aligned by a similarity",
    "M0 and |W-M0| aligned",
    "fingertip centroid and spread aligned",
)
WRIST_PALM, WRIST_BONE = "W and |W-M0| aligned", "W and |M0-M1| aligned"
WRIST_ALIGNED, M0_ALIGNED = "W aligned", "M0 aligned"
BETWEEN_WRISTS = "left W relative to right W"
_NEEDED = {
    SIMILAR: list(range(N_JOINTS)), PALM: [WRIST, M0], WRIST_PALM: [WRIST, M0],
    WRIST_BONE: [WRIST, M0, JOINT_NAMES.index("M1")], WRIST_ALIGNED: [WRIST], M0_ALIGNED: [M0],
}  # fmt: skip
_FEWEST_TIPS = {ABSOLUTE: 1, NO_DEPTH: 1, TIPS_ALIGNED: 2}  # two have a centroid and a spread


@dataclass(frozen=True)
class Figure:
    """One figure: its key in the JSON, the alignment, and the range of an AUC [mm]; a mean error without one."""

    key: str
    alignment: str
    range_mm: tuple[float, float] | None = None


@dataclass(frozen=True)
class Protocol:
    """The 3D figures of a kind of dataset, and what they are called.

    `in_pixels` adds the AUC of 2D errors up to so many px of the picture; `two_hands` what `regnet.two_hands` gives. `notes` say what
    published figures count that these do not.
    """

    name: str
    figures: tuple[Figure, ...]
    in_pixels: float | None = None
    two_hands: bool = False
    notes: tuple[str, ...] = ()

    def alignments(self) -> list[str]:
        """Give the alignments that errors are counted after, in the order of the figures."""
        of_figures = [figure.alignment for figure in self.figures]
        return list(dict.fromkeys([WRIST_ALIGNED, *of_figures] if self.two_hands else of_figures))


_OF_DEFAULT_SIZE = (
    f"absolute places and errors without aligned scale take the hand as {DEFAULT_SCALE_MM} mm from W to M0, "
    "put where it projects onto the 2D joints seen"
)
_SIMILAR = Figure("pa_mpjpe_mm", SIMILAR)
_PALM = (Figure("root_scale_mpjpe_mm", PALM), Figure("auc_20_50", PALM, (20, 50)))
_WRIST_PALM = (Figure("wrist_scale_mpjpe_mm", WRIST_PALM), Figure("wrist_auc_20_50", WRIST_PALM, (20, 50)))
_WRIST_BONE = (Figure("wrist_bone_mpjpe_mm", WRIST_BONE), Figure("wrist_bone_auc_20_50", WRIST_BONE, (20, 50)))
_ROOT_AND_SCALE = (*_PALM, *_WRIST_PALM, *_WRIST_BONE, _SIMILAR)
_FINGERTIPS = (
    Figure("tips_mpjpe_mm", TIPS_ALIGNED),
    Figure("tips_auc_20_50", TIPS_ALIGNED, (20, 50)),
    Figure("tips_auc_0_100", TIPS_ALIGNED, (0, 100)),
    Figure("tips_absolute_mpjpe_mm", ABSOLUTE),
    Figure("tips_absolute_auc_20_50", ABSOLUTE, (20, 50)),
    Figure("tips_absolute_auc_0_100", ABSOLUTE, (0, 100)),
    Figure("tips_no_depth_mpjpe_mm", NO_DEPTH),
    Figure("tips_no_depth_auc_20_50", NO_DEPTH, (20, 50)),
    Figure("tips_no_depth_auc_0_100", NO_DEPTH, (0, 100)),
)
GENERAL = Protocol("all joints, relative", (_SIMILAR, *_PALM))
PROTOCOLS = {
    "stb": Protocol(
        "root and scale, M0 or W as the root",
        _ROOT_AND_SCALE,
        notes=(
            "papers test on B1Counting and B1Random alone: --split held_out",
            "the labels have no wrist: W is R0 + 2 (palm - R0), as in Zimmermann and Brox 2017",
        ),
    ),
    "rhd": Protocol(
        "root and scale, M0 or W as the root",
        _ROOT_AND_SCALE,
        notes=("papers test on the evaluation set alone: --split held_out", "the hand with more visible joints counts"),
    ),
    "dexter": Protocol(
        "fingertips, aligned by centroid and spread on frames with at least two of them labelled, and absolute, "
        "with the error of depth and without",
        _FINGERTIPS,
        in_pixels=30.0,
        notes=(_OF_DEFAULT_SIZE,),
    ),
    "freihand": Protocol(
        "PA-MPJPE",
        (_SIMILAR, Figure("pa_auc_0_50", SIMILAR, (0, 50)), *_PALM),
        notes=(
            "papers test on the evaluation set alone: --split held_out",
            "F@5 mm and F@15 mm compare vertices: this network gives joints and no mesh, so there are none "
            "(--predictions scores a file that has them)",
        ),
    ),
    "interhand": Protocol(
        f"MPJPE root aligned, of hands taken as {DEFAULT_SCALE_MM} mm from W to M0, of pictures with one hand and with two; "
        "MRRPE; handedness",
        (Figure("root_mpjpe_mm", M0_ALIGNED), *GENERAL.figures),
        two_hands=True,
        notes=(
            "papers test on val or test alone: --split held_out",
            _OF_DEFAULT_SIZE,
            "MPJPE W aligned is the mean of the 42 joints' means, as in Moon et al. 2020; pictures whose hand_type is not valid count in "
            '"all" alone, and joints that could not be triangulated not at all',
            "handedness is that of pictures, as in Moon et al. 2020: right where the presence of a right and of a left hand are both told "
            "right; that two are swapped is no error",
            "the network sees one hand's labelled crop after the other, each both ways round: it tells whether that is a hand and which, but "
            "how many there are it is given, so a single hand is never told as two",
            "pictures of two hands of which only one is labelled, or drawn by --n, count neither for MRRPE nor for handedness",
        ),
    ),
    "panoptic": Protocol("2D only", (), in_pixels=30.0, notes=("papers test on manual_test alone: --split held_out",)),
}


def errors_3d(protocol: Protocol, predicted_mm: np.ndarray, truth_mm: np.ndarray) -> dict[str, np.ndarray]:
    """Compare 3D joints (N, 21, 3) [mm], NaN in the truth where it is unknown: errors (K, 21) [mm] by alignment.

    K are the hands that the alignment is defined for; an alignment without any is left out.
    """
    known = np.isfinite(truth_mm).all(-1)
    errors = {}
    for alignment in protocol.alignments():
        hands = _alignable(alignment, known)
        if hands.any():
            errors[alignment] = metrics.aligned_distances(predicted_mm[hands], truth_mm[hands], alignment)
    return errors


def scores_3d(protocol: Protocol, errors: Mapping[str, np.ndarray]) -> dict[str, Score]:
    """Give a protocol's figures by key, of the errors that `errors_3d` finds."""
    return {
        figure.key: _score(figure, errors[figure.alignment])
        for figure in protocol.figures
        if figure.alignment in errors
    }


def _score(figure: Figure, error: np.ndarray) -> Score:
    if figure.range_mm is None:
        return metrics.mpjpe_of(error, figure.alignment)
    return metrics.auc_of(error, figure.alignment, *figure.range_mm)


def _alignable(alignment: str, known: np.ndarray) -> np.ndarray:
    """Say for which hands an alignment is defined, from the joints (N, 21) that are known."""
    if alignment in _FEWEST_TIPS:
        return known[:, TIPS].sum(-1) >= _FEWEST_TIPS[alignment]
    return np.all(known[:, _NEEDED[alignment]], axis=-1)
