"""`geocongan evaluate`: how real translations look, and whether they keep the pose.

geocongan evaluate --weights runs/geocongan --synthetic render --real data/held_out --silnet runs/silnet2

Realism is FID and KID to photographs of people whom the translator never saw, both on white, by the features of this project's own
frozen RegNet. The silhouette judge must be a SilNet that was part of no loss. With --plausibility, the kinematic hand is fitted to
translations of whole hands and of hands with a finger missing, shortened or there twice: how well it fits, and how surely that tells them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from geocongan.broken_hands import Break, pairs
from geocongan.domains import DomainBatches, DomainConfig, LabelledSide, RenderedSide, through, to_network, to_picture
from geocongan.eye import Eye
from geocongan.measures import fid, kid, mask_iou
from geocongan.plausibility import Judge, auc
from geocongan.prepare import on_white
from geocongan.translator import Translator
from handpose.errors import HandposeError
from handpose.synthesis.sampler import RenderSampler

_SEED = 424_242  # of rendered hands that no training shows
_POOL = 1_000_000  # numbers of hands to draw from where no photographs choose them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `geocongan evaluate`."""
    add = parser.add_argument
    add("--weights", type=Path, required=True, metavar="RUN|FILE", help="run of geocongan train, or .weights.h5")
    add("--synthetic", default="render", metavar="SOURCE", help="folder with joints, or the word render")
    add("--real", required=True, metavar="DIR", help="prepared photographs of people held out")
    add("--silnet", type=Path, metavar="RUN", help="a second SilNet, part of no loss")
    add("--n", type=int, default=500, help="pictures of each side")
    add(
        "--plausibility", type=int, default=0, metavar="N",
        help="fit a hand to N translations and to N of broken hands (about 1.5 s for each N; default: none)",
    )  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write the figures for programs")


def run(args: argparse.Namespace) -> None:
    """Measure, print, and write the figures where asked."""
    if args.n < 20:
        raise HandposeError(f"--n must be at least 20 for a distance to mean something, not {args.n}")
    if args.plausibility < 0:
        raise HandposeError(f"--plausibility must not be negative: {args.plausibility}")
    translator, eye = Translator(args.weights), Eye()
    sides = DomainBatches(DomainConfig(args.synthetic, args.real, translator.size, args.n, _SEED))
    figures = measure(sides.batch(0), translator, eye, args.silnet)
    if args.plausibility:
        figures |= plausibility(sides.synthetic, translator, eye, args.plausibility)
    report(figures, eye)
    if args.json:
        args.json.write_text(json.dumps(figures) + "\n")


def measure(batch: dict[str, np.ndarray], translator: Translator, eye: Eye, silnet: Path | None) -> dict[str, float]:
    """Compare the synthetic side of a batch, before and after translation, with its real side."""
    mask = batch["synthetic_mask"]
    renders = np.concatenate([to_picture(batch["synthetic"]), (255 * mask).astype(np.uint8)], axis=-1)
    translated = translator(renders)[..., :3]
    shown = np.stack([on_white(picture) for picture in renders])
    real, _ = eye(to_picture(batch["real"]))
    before, joints_before = eye(shown)
    after, joints_after = eye(translated)
    moved = np.linalg.norm(joints_after - joints_before, axis=-1).mean(-1) * translator.size
    figures = {
        "n": float(len(renders)), "size_px": float(translator.size),
        "fid_renders": fid(before, real), "fid": fid(after, real),
        "kid_renders": kid(before, real), "kid": kid(after, real),
        "drift_px": float(moved.mean()), "drift_p90_px": float(np.percentile(moved, 90)),
    }  # fmt: skip
    if silnet is not None:
        figures["mask_iou"] = float(_overlap(translated, mask, silnet).mean())
    return figures


def plausibility(side: RenderedSide | LabelledSide, translator: Translator, eye: Eye, count: int) -> dict[str, float]:
    """Fit the kinematic hand to translations of whole hands and of broken ones; hands of a folder give way to our own renders."""
    whole, broken, _ = pairs_of(side, translator.size, count)
    judge = Judge(eye.network)
    judged, judged_broken = judge(translator(whole)), judge(translator(broken))
    return {
        "plausibility_n": float(count),
        "plausibility_iou": float(np.mean([one.iou for one in judged])),
        "plausibility_residual": float(np.mean([one.residual for one in judged])),
        "plausibility_limits": float(np.mean([one.limits for one in judged])),
        "plausibility_auc": auc([one.score for one in judged], [one.score for one in judged_broken]),
    }


def pairs_of(side: RenderedSide | LabelledSide, size: int, count: int) -> tuple[np.ndarray, np.ndarray, list[Break]]:
    """Render whole hands of a side and the same ones broken, each hand once before any comes again."""
    if not isinstance(side, RenderedSide):
        return pairs(RenderSampler(_SEED, size), range(_POOL), size, count)
    if side.numbers is None:
        return pairs(side.sampler, range(_POOL), size, count)
    return pairs(side.sampler, np.unique(side.numbers).tolist(), size, count)


def report(figures: dict[str, float], eye: Eye) -> None:
    """Print the figures with what they were measured by."""
    print(
        f"{figures['n']:.0f} pictures of each side on white, {figures['size_px']:.0f} px resized by area to {eye.network.input_size} px; "
        f"features of {eye.name} (SHA-256 {eye.sha256[:12]})"
    )
    print(f"  FID {figures['fid']:.2f} (renders themselves {figures['fid_renders']:.2f})")
    share = figures["kid"] / figures["kid_renders"]
    print(f"  KID {figures['kid']:.4f} (renders themselves {figures['kid_renders']:.4f}; ratio {share:.2f})")
    print(f"  RegNet's joints moved {figures['drift_px']:.2f} px, 90th percentile {figures['drift_p90_px']:.2f} px")
    if "mask_iou" in figures:
        print(f"  silhouette IoU {figures['mask_iou']:.3f}, by a SilNet that was part of no loss")
    if "plausibility_auc" in figures:
        print(
            f"  a hand fitted to {figures['plausibility_n']:.0f} translations: silhouette IoU {figures['plausibility_iou']:.3f}, joints "
            f"{figures['plausibility_residual']:.3f} of the hand's size off, {figures['plausibility_limits']:.1f} angles at their limits; "
            f"told from as many translations of broken hands with AUC {figures['plausibility_auc']:.3f}"
        )


def _overlap(translated: np.ndarray, mask: np.ndarray, silnet: Path) -> np.ndarray:
    from geocongan.gan import load_silnet

    model = load_silnet(silnet, translated.shape[1])
    return mask_iou(through(model, to_network(translated)) > 0, mask > 0.5)
