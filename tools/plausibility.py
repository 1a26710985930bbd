"""Measure the plausibility measure itself: how surely it tells rendered hands from the same hands broken, with no translator between.

usage: python tools/plausibility.py [--real DIR] [--n 500] [--seed 424242]

With DIR, a folder written by `geocongan prepare`, the hands are those rendered for translation: poses and views like its photographs'.
Without it they are the renderer's own mixture, seen from anywhere. A pair takes about 0.8 s on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from geocongan.domains import PhotographedSide, RenderedSide
from geocongan.evaluate import pairs_of
from geocongan.plausibility import OUTPUTS, Judge, auc
from handpose.command import exit_code
from handpose.runtime import load_network
from regnet.predictor import DEFAULT_WEIGHTS

_SIZE = 128


def main() -> None:
    """Judge both kinds and print each part's means and AUC, and the score's by kind of break."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, metavar="DIR", help="prepared photographs that choose poses and views")
    parser.add_argument("--n", type=int, default=500, help="hands of each kind")
    parser.add_argument("--seed", type=int, default=424_242)
    args = parser.parse_args()
    joints = PhotographedSide(args.real, _SIZE).joints if args.real else None
    whole, broken, kinds = pairs_of(RenderedSide(args.seed, _SIZE, joints), _SIZE, args.n)
    judge = Judge(load_network(DEFAULT_WEIGHTS, "auto", "cpu", OUTPUTS))
    judged, judged_broken = judge(whole), judge(broken)
    for part, sign in (("iou", 1), ("reach", -1), ("residual", -1), ("worst_residual", -1), ("limits", -1), ("excess_rad", -1)):  # fmt: skip
        good, bad = (np.array([getattr(one, part) for one in found]) for found in (judged, judged_broken))
        print(f"{part}: whole {good.mean():.4f}, broken {bad.mean():.4f}, AUC {auc(sign * good, sign * bad):.3f}")
    scores, broken_scores = (np.array([one.score for one in found]) for found in (judged, judged_broken))
    print(f"score: AUC {auc(scores, broken_scores):.3f} (n={args.n} of each)")
    for kind in sorted(set(kinds)):
        mine = np.array(kinds) == kind
        print(f"  {kind}: AUC {auc(scores, broken_scores[mine]):.3f} (n={mine.sum()})")


if __name__ == "__main__":
    raise SystemExit(exit_code("plausibility", main))
