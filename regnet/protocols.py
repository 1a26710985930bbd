"""How the literature counts 3D errors on each dataset: which alignment, over which hands, up to which error.

RegNet sees a crop: it tells neither how large the hand is nor how far away. Where a figure does not align the scale, the hand is taken as
`DEFAULT_SCALE_MM` from W to M0, and put where it projects onto its 2D joints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from handpose import metrics
from handpose.metrics import Score
from handpose.palm import IN_PLACE, MIDWAY, Palm
from handpose.skeleton import DEFAULT_SCALE_MM, JOINT_NAMES, M0, N_JOINTS, TIPS, WRIST

ABSOLUTE, NO_DEPTH, SIMILAR, PALM, TIPS_ALIGNED = (
    "absolute",
    "absolute, error of depth left out",
    "aligned by a similarity",
    "M0 and |W-M0| aligned",
    "fingertip centroid and spread aligned",
)
WRIST_PALM, WRIST_BONE = "W and |W-M0| aligned", "W and |M0-M1| aligned"
PALM_BONE = "palm and |M0-M1| aligned, visible joints"
WRIST_ALIGNED, M0_ALIGNED = "W aligned", "M0 aligned"
BETWEEN_WRISTS = "left W relative to right W"
ONLY_2D = "2D only"
_BONE = [WRIST, M0, JOINT_NAMES.index("M1")]
_NEEDED = {
    SIMILAR: list(range(N_JOINTS)), PALM: [WRIST, M0], WRIST_PALM: [WRIST, M0],
    WRIST_BONE: _BONE, PALM_BONE: _BONE, WRIST_ALIGNED: [WRIST], M0_ALIGNED: [M0],
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

    `in_pixels` adds the AUC of 2D errors up to so many px of the picture; `two_hands` what `regnet.two_hands` gives. `split` is the side
    of the dataset on which papers test, or which people may keep for that, and `read` the options by which they read it, where the user gives no others. `palm` is where
    the true palm lies. `notes` say what published figures count that these do not.
    """

    name: str
    figures: tuple[Figure, ...]
    in_pixels: float | None = None
    two_hands: bool = False
    split: str | None = None
    read: tuple[str, ...] = ()
    palm: Palm = MIDWAY
    notes: tuple[str, ...] = ()

    def alignments(self) -> list[str]:
        """Give the alignments that errors are counted after, in the order of the figures."""
        of_figures = [figure.alignment for figure in self.figures]
        return list(dict.fromkeys([WRIST_ALIGNED, *of_figures] if self.two_hands else of_figures))

    def on(self, palm: Palm | None) -> Protocol:
        """Fit the protocol to a dataset whose `palm` lies so; where it stands in the wrist's place there are no figures of the wrist."""
        if palm is None:
            return self
        if palm != IN_PLACE:
            return replace(self, palm=palm, notes=(*self.notes, palm.note, _NETWORKS_PALM))
        return replace(
            self,
            name="root and scale, the palm as the root",
            figures=tuple(figure for figure in self.figures if figure.alignment in (PALM_BONE, SIMILAR)),
            palm=palm,
            notes=(*self.notes, palm.note),
        )


_OF_DEFAULT_SIZE = (
    f"absolute places and errors without aligned scale take the hand as {DEFAULT_SCALE_MM} mm from W to M0, "
    "put where it projects onto the 2D joints seen"
)
_SIMILAR = Figure("pa_mpjpe_mm", SIMILAR)
_PALM = (Figure("root_scale_mpjpe_mm", PALM), Figure("auc_20_50", PALM, (20, 50)))
_WRIST_PALM = (Figure("wrist_scale_mpjpe_mm", WRIST_PALM), Figure("wrist_auc_20_50", WRIST_PALM, (20, 50)))
_WRIST_BONE = (Figure("wrist_bone_mpjpe_mm", WRIST_BONE), Figure("wrist_bone_auc_20_50", WRIST_BONE, (20, 50)))
_PALM_BONE = (Figure("palm_bone_mpjpe_mm", PALM_BONE), Figure("palm_bone_auc_20_50", PALM_BONE, (20, 50)))
_ROOT_AND_SCALE = (*_PALM, *_WRIST_PALM, *_WRIST_BONE, *_PALM_BONE, _SIMILAR)
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
_ROOTS = "root and scale, M0, W or the palm as the root"
_FROM_21_MM = (
    "Zimmermann and Brox 2017 count their own AUC from 21.05 mm: about .003 higher on STB and .01 on RHD than from 20"
)
_NETWORKS_PALM = "the network's palm lies halfway from its W to its M0"
GENERAL = Protocol("all joints, relative", (_SIMILAR, *_PALM), split="held_out")
PROTOCOLS = {
    "stb": Protocol(
        _ROOTS,
        _ROOT_AND_SCALE,
        split="held_out",
        read=("views=stereo",),
        notes=(
            "papers test on B1Counting and B1Random alone, the side held_out",
            "the views are those of the stereo pair, as in Zimmermann and Brox 2017; --read views=BB_left takes the left ones alone, "
            "views=all the third camera's too",
            _FROM_21_MM,
        ),
    ),
    "rhd": Protocol(
        _ROOTS,
        _ROOT_AND_SCALE,
        split="held_out",
        notes=(
            "papers test on the evaluation set alone, the side held_out",
            "of each picture the hand counts that covers more pixels of the mask, as in Zimmermann and Brox 2017 (--read hands=all: both)",
            "hidden joints count too, but where it says visible joints; there Zimmermann and Brox take the mean of the joints' own AUCs",
            _FROM_21_MM,
        ),
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
        split="held_out",
        notes=(
            "papers test on the evaluation set alone, the side held_out",
            "F@5 mm and F@15 mm compare vertices: this network gives joints and no mesh, so there are none "
            "(--predictions scores a file that has them)",
        ),
    ),
    "interhand": Protocol(
        f"MPJPE root aligned, of hands taken as {DEFAULT_SCALE_MM} mm from W to M0, of pictures with one hand and with two; "
        "MRRPE; handedness",
        (Figure("root_mpjpe_mm", M0_ALIGNED), *GENERAL.figures),
        two_hands=True,
        split="test",
        notes=(
            "papers test on test or val alone: --split val takes the other",
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
    "panoptic": Protocol(
        ONLY_2D, (), in_pixels=30.0, split="held_out", notes=("papers test on manual_test alone, the side held_out",)
    ),
}


def errors_3d(
    protocol: Protocol, predicted_mm: np.ndarray, truth_mm: np.ndarray, visible: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Compare 3D joints (N, 21, 3) [mm], NaN in the truth where it is unknown: errors (K, 21) [mm] by alignment.

    K are the hands that the alignment is defined for; an alignment without any is left out. visible (N, 21) bool: which joints are to be
    seen; without it, all that are known.
    """
    known = np.isfinite(truth_mm).all(-1)
    visible = known if visible is None else visible
    errors = {}
    for alignment in protocol.alignments():
        hands = _alignable(alignment, known)
        if not hands.any():
            continue
        if alignment == PALM_BONE:
            errors[alignment] = _palm_errors(protocol.palm, predicted_mm[hands], truth_mm[hands], visible[hands])
        else:
            errors[alignment] = metrics.aligned_distances(predicted_mm[hands], truth_mm[hands], alignment)
    return errors


def _palm_errors(palm: Palm, predicted: np.ndarray, truth: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Count as the code of Zimmermann and Brox 2017 does: the palm stands for W, and is seen where W or M0 is; hidden joints are NaN."""
    own = IN_PLACE if palm == IN_PLACE else MIDWAY
    errors = metrics.aligned_distances(own.instead_of_wrist(predicted), palm.instead_of_wrist(truth), WRIST_BONE)
    visible = visible.copy()
    visible[:, WRIST] |= visible[:, M0]
    return np.where(visible, errors, np.nan)


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
