"""What others published on the datasets, to be read beside one's own figures: PCK curves and areas under them, by alignment.

Curves of Mueller et al. 2018 and Sridhar et al. 2016 as they stand in the plotting scripts that later papers released (Boukhayma et al.
2019; Li 2021); figures are of those files, of the papers named, or of Meng's released code, which rebuilds Zhou et al. 2020. Methods
whose alignment is not known are left out, but for four that are taken to be aligned so:
Zhou et al. on fingertips as Meng's code does; Mueller et al. on STB, who follow Zimmermann and Brox but for the wrist as the root, by
the true length of the bone that is their unit, |W-M0|; "error of depth left out", which is absolute with the true depths; and
Zimmermann and Brox on RHD, whose figure is later papers', as their released code counts: the palm as the root, visible joints alone.
That code (eval_full.py of hand3d) tells lower figures of itself than are published, and both stand here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from regnet.protocols import ABSOLUTE, NO_DEPTH, PALM, PALM_BONE, TIPS_ALIGNED, WRIST_PALM

IN_PIXELS = "2D, px of the picture"  # not an alignment: where the 2D figures stand
_SHORT, _LONG = "AUC 20-50 mm", "AUC 0-100 mm"
_AUC_PX = "AUC 0-30 px"


@dataclass(frozen=True, eq=False)
class Curve:
    """A published PCK curve: shares of joints 0..1 at most so many mm away."""

    label: str
    alignment: str
    limits_mm: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True)
class Result:
    """Published figures of a method, by their names as a Score has them."""

    method: str
    alignment: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Published:
    """What is published on one dataset."""

    results: tuple[Result, ...]
    curves: tuple[Curve, ...] = ()


_STB_MM = np.linspace(19.1919, 49.4949, 11)
_DEXTER_MM = np.linspace(0, 95.9596, 20)
_STB = Published(
    results=(
        Result("Zimmermann and Brox 2017, trained on it", PALM_BONE, {_SHORT: 0.948}),
        Result("Zimmermann and Brox 2017, trained on it, released code", PALM_BONE, {_SHORT: 0.941}),
        Result("Mueller et al. 2018, trained on it", WRIST_PALM, {_SHORT: 0.965}),
        Result("Mueller et al. 2018, not trained on it, 19.2-49.5 mm", WRIST_PALM, {_SHORT: 0.816}),
        Result("DetNet of Zhou et al. 2020, rebuilt by Meng, SK_color pictures", PALM, {_SHORT: 0.874}),
        Result("Zhou et al. 2020, rebuilt by Meng, SK_color pictures", PALM, {_SHORT: 0.862}),
    ),
    curves=(
        Curve(
            "Mueller et al. 2018, trained on it",
            WRIST_PALM,
            _STB_MM,
            np.array([0.8713, 0.9035, 0.9271, 0.9446, 0.9574, 0.9670, 0.9741, 0.9795, 0.9833, 0.9867, 0.9895]),
        ),
        Curve(
            "Mueller et al. 2018, not trained on it",
            WRIST_PALM,
            _STB_MM,
            np.array([0.7031, 0.7323, 0.7586, 0.7831, 0.8056, 0.8249, 0.8424, 0.8586, 0.8728, 0.8859, 0.8972]),
        ),
    ),
)
_DEXTER_OBJECT = Published(
    results=(
        Result("Mueller et al. 2018", ABSOLUTE, {_SHORT: 0.482, _LONG: 0.56}),
        Result("Mueller et al. 2018, error of depth left out", NO_DEPTH, {_SHORT: 0.660, _LONG: 0.70}),
        Result("Sridhar et al. 2016, with a depth camera", ABSOLUTE, {_LONG: 0.81}),
        Result("Zhou et al. 2020", TIPS_ALIGNED, {_SHORT: 0.948}),
        Result("Mueller et al. 2018", IN_PIXELS, {_AUC_PX: 0.64}),
        Result("Zimmermann and Brox 2017", IN_PIXELS, {_AUC_PX: 0.49}),
    ),
    curves=(
        Curve(
            "Mueller et al. 2018",
            ABSOLUTE,
            _DEXTER_MM,
            np.array(
                [0, 0.0148, 0.0764, 0.1669, 0.2611, 0.3507, 0.4325, 0.5026, 0.5641, 0.6089]
                + [0.6523, 0.6909, 0.7249, 0.7539, 0.7782, 0.8018, 0.8213, 0.8411, 0.8601, 0.8776]
            ),
        ),
        Curve(
            "Mueller et al. 2018, error of depth left out",
            NO_DEPTH,
            _DEXTER_MM,
            np.array(
                [0, 0.0339, 0.1562, 0.2887, 0.4092, 0.5084, 0.6029, 0.6852, 0.7566, 0.8080]
                + [0.8463, 0.8769, 0.9016, 0.9187, 0.9300, 0.9396, 0.9467, 0.9536, 0.9625, 0.9698]
            ),
        ),
        Curve(
            "Sridhar et al. 2016, with a depth camera",
            ABSOLUTE,
            _DEXTER_MM,
            np.array(
                [0, 0.0604, 0.2674, 0.4908, 0.6830, 0.7981, 0.8676, 0.9082, 0.9349, 0.9530]
                + [0.9650, 0.9718, 0.9775, 0.9820, 0.9869, 0.9910, 0.9949, 0.9967, 0.9980, 0.9983]
            ),
        ),
    ),
)
_EGO_DEXTER = Published(
    results=(
        Result("Zhou et al. 2020", TIPS_ALIGNED, {_SHORT: 0.811}),
        Result("Mueller et al. 2018", IN_PIXELS, {_AUC_PX: 0.54}),
        Result("Zimmermann and Brox 2017", IN_PIXELS, {_AUC_PX: 0.44}),
    )
)
_RHD = Published(
    results=(
        Result("Zimmermann and Brox 2017, trained on it", PALM_BONE, {_SHORT: 0.675}),
        Result("Zimmermann and Brox 2017, trained on it, released code", PALM_BONE, {_SHORT: 0.603}),
        Result("DetNet of Zhou et al. 2020, rebuilt by Meng", PALM, {_SHORT: 0.934}),
        Result("Zhou et al. 2020, rebuilt by Meng", PALM, {_SHORT: 0.927}),
    )
)
_PANOPTIC = Published(
    results=(
        Result("Zimmermann and Brox 2017, on manual_test", IN_PIXELS, {_AUC_PX: 0.171}),
        Result("Boukhayma et al. 2019, RGB, on manual_test", IN_PIXELS, {_AUC_PX: 0.403}),
        Result("Boukhayma et al. 2019, 2D, on manual_test", IN_PIXELS, {_AUC_PX: 0.465}),
        Result("Boukhayma et al. 2019, RGB and 2D, on manual_test", IN_PIXELS, {_AUC_PX: 0.505}),
    )
)


def _corrected(published: Published, detnet: float, whole: float) -> Published:
    """Add what Meng counted on the corrected labels, and say of the others that they were counted on the labels as released."""
    return Published(
        (
            Result("DetNet of Zhou et al. 2020, rebuilt by Meng", TIPS_ALIGNED, {_SHORT: detnet}),
            Result("Zhou et al. 2020, rebuilt by Meng", TIPS_ALIGNED, {_SHORT: whole}),
            *(replace(result, method=f"{result.method}, raw labels") for result in published.results),
        ),
        tuple(replace(curve, label=f"{curve.label}, raw labels") for curve in published.curves),
    )


_BY_DATASET = {
    "STB": _STB,
    "RHD": _RHD,
    "Dexter+Object": _DEXTER_OBJECT,
    "Dexter+Object-corrected": _corrected(_DEXTER_OBJECT, 0.938, 0.940),
    "EgoDexter": _EGO_DEXTER,
    "EgoDexter-corrected": _corrected(_EGO_DEXTER, 0.927, 0.937),
    "CMU Panoptic hands": _PANOPTIC,
}


def published_on(dataset: str) -> Published:
    """Give what is published on a dataset, by the name that its reader gives it; nothing for others."""
    return _BY_DATASET.get(dataset, Published(()))
