"""Weigh detector, presence and confidence for finding hands, after new weights: prints what tracker/aim.py should hold.

usage: python tools/weigh_found_hands.py --photos SET... --empty DIR [--false-share 0.02 0.04] [--n 40]

SETs are photo sets (people held out where the set has some): see `hands_to_find.py`. DIR holds pictures without hands, of which those
whose number ends in 6 to 9 are used: 0 is kept for measuring, 1 to 5 for `mine_false_hands.py`. Parts of 1 to 9 lie behind hands in
training, so that a network may know those of 6 to 9: what was never seen are those that end in 0. Each counts as four views of it, for
the line hangs on the few that look most like hands.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hands_to_find import pictures
from scipy.optimize import minimize

from handpose.camera import Camera
from handpose.command import exit_code
from handpose.errors import HandposeError
from handpose.images import read_image
from handpose.synthesis.backgrounds import without_hands
from tracker.load import averaging, load_detector, load_predictor
from tracker.recognise import recognise
from tracker.search import look_everywhere

_CANDIDATES = 8  # of a picture
_CLOSER = (0.75, 0.95)  # sides of a closer view of an empty picture, in the picture's
_FOUND = 0.35  # mean joint distance, in hand sizes, up to which a candidate is the labelled hand
_ROUNDING = 1e-9  # by which the best picture that may not pass stays under the line, in whatever order it is summed up
Candidate = tuple[float, float, float, bool]  # detector, presence, confidence, whether it is the labelled hand


def main() -> None:
    """Collect candidates, which takes minutes, and print the line for each share of empty pictures that may show a hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, metavar="SET")
    parser.add_argument("--empty", type=Path, required=True, metavar="DIR")
    parser.add_argument("--false-share", type=_share, nargs="+", default=[0.04])
    parser.add_argument("--n", type=int, default=40, help="photographs of each set; of empty pictures all")
    args = parser.parse_args()
    paths = without_hands(args.empty, "6789")
    look = _Looker()
    hands = [look(image, joints) for image, joints in pictures(args.photos, args.n)]
    rng = np.random.default_rng(0)
    empty = [look(view, None) for path in paths for view in views(rng, read_image(path))]
    for share in args.false_share:
        weights, bias = weigh(hands, empty, share)
        found = found_share(hands, weights, bias)
        print(f"_FOUND_WEIGHTS, _FOUND_BIAS = np.array({np.round(weights, 2).tolist()}), {bias:.2f}")
        print(
            f"a hand in {share:.1%} of {len(empty)} views of empty pictures; found in {found:.3f} of {len(hands)} pictures of hands"
        )
    reached = np.mean([any(one[3] for one in found) for found in hands])
    print(f"(the detector offers the hand in {reached:.3f})")


def _share(text: str) -> float:
    if not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError("a share is at least 0 and less than 1")
    return float(text)


def views(rng: np.random.Generator, image: np.ndarray) -> Iterator[np.ndarray]:
    """Give an empty picture (H, W, 3), its mirror image, and a closer view of either."""
    for one in (image, np.ascontiguousarray(image[:, ::-1])):
        yield one
        whole = np.array(one.shape[:2])
        shown = np.ceil(whole * rng.uniform(*_CLOSER)).astype(int)
        top, left = rng.integers(0, whole - shown + 1)
        yield np.ascontiguousarray(one[top : top + shown[0], left : left + shown[1]])


def weigh(hands: list[list[Candidate]], empty: list[list[Candidate]], false_share: float) -> tuple[np.ndarray, float]:
    """Fit weights (3,) and a bias to the candidates of each picture; at 0 it takes `false_share` of the empty ones for a hand.

    Raises HandposeError where hands or empty pictures offer too few candidates for that.
    """
    offered = sum(map(bool, empty))
    if offered <= int(false_share * len(empty)) or not any(one[3] for found in hands for one in found):
        raise HandposeError(
            f"{offered} of {len(empty)} empty pictures look like hands at all: too few to weigh, or no hand does"
        )
    true = np.array([one[:3] for found in hands for one in found if one[3]])
    false = np.array([one[:3] for found in empty for one in found])
    weights, bias = _regression(_logit(true), _logit(false))
    best_of_empty = sorted((_best(found, weights, bias) for found in empty), reverse=True)
    return weights, bias - best_of_empty[int(false_share * len(empty))] - _ROUNDING


def found_share(hands: list[list[Candidate]], weights: np.ndarray, bias: float) -> float:
    """Give the share of the pictures in which a candidate that is the labelled hand passes."""
    return float(np.mean([_best([one for one in found if one[3]], weights, bias) > 0 for found in hands]))


class _Looker:
    """Gives a picture's candidates."""

    def __init__(self) -> None:
        self.predictor, self.detector = load_predictor(), load_detector()
        self.careful = averaging(self.predictor)

    def __call__(self, image: np.ndarray, joints: list[np.ndarray] | None) -> list[Candidate]:
        camera, rows = Camera.from_fov((image.shape[1], image.shape[0])), []
        for detection in look_everywhere(image, self.detector)[:_CANDIDATES]:
            sights = recognise(image, camera, [detection], self.predictor, 1, careful=self.careful, sure=0.0)
            for sight in sights:
                seen = sight.ways[sight.vote.side]
                right = any(
                    np.linalg.norm(seen.joints_px - one, axis=-1).mean() < _FOUND * np.ptp(one, axis=0).max()
                    for one in joints or []
                )
                rows.append((detection.score, seen.presence, float(seen.confidence.mean()), right))
        return rows


def _logit(chances: np.ndarray) -> np.ndarray:
    clipped = np.clip(chances, 1e-3, 1 - 1e-3)
    return np.log(clipped / (1 - clipped))


def _regression(true: np.ndarray, false: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit weights (3,) and bias by logistic regression, lightly held back; no opinion that is surer speaks against a hand."""
    rows = np.column_stack([np.vstack([true, false]), np.ones(len(true) + len(false))])
    signs = np.r_[np.ones(len(true)), -np.ones(len(false))]

    def loss(w: np.ndarray) -> float:
        return float(np.logaddexp(0, -signs * (rows @ w)).sum() + 0.5 * (w[:3] ** 2).sum())

    fitted = minimize(loss, np.zeros(4), bounds=[(0, None)] * 3 + [(None, None)]).x
    return fitted[:3], float(fitted[3])


def _best(found: list[Candidate], weights: np.ndarray, bias: float) -> float:
    return max((float(weights @ _logit(np.array(one[:3])) + bias) for one in found), default=-np.inf)


if __name__ == "__main__":
    raise SystemExit(exit_code("weigh_found_hands", main))
