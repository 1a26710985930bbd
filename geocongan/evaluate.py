"""`geocongan evaluate`: how real translations look, and whether they keep the pose.

geocongan evaluate --weights runs/geocongan --synthetic render --real data/held_out --silnet runs/silnet2

Realism is FID and KID to photographs of people whom the translator never saw, both on white, by the features of this project's own
frozen RegNet: of whole pictures, and of the hands that our detector finds in them (FID-H, KID-H; with its mean confidence). --inception
adds those of published figures. The SilNet that the translator was trained with is refused as the judge of silhouettes. With
--plausibility, the kinematic hand is fitted to translations of whole hands and of hands with a finger missing, shortened or there twice:
how well it fits, and how surely that tells them; joints are those that RegNet finds in the translation, silhouettes the rendering's own,
which a translation keeps. Of a folder of renders all frames are taken, those that trained the translator too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from geocongan.broken_hands import Break, pairs
from geocongan.domains import DomainBatches, DomainConfig, LabelledSide, RenderedSide, through, to_network, to_picture
from geocongan.eye import Eye
from geocongan.hand_finder import HandFinder
from geocongan.inception import FEATURES, RESIZED, inception_measure
from geocongan.measures import fid, kid, mask_iou
from geocongan.plausibility import Judge, auc
from geocongan.train_silnet import silnet_sha256
from geocongan.translator import open_translator, trained_with
from handpose.command import require
from handpose.draw import contact_sheet
from handpose.errors import HandposeError
from handpose.images import write_image
from handpose.outputs import check_picture, prepare_outputs, write_json
from handpose.synthesis.sampler import RenderSampler
from handpose.synthesis.translated import Translator

_SEED = 424_242  # of rendered hands that no training shows
_POOL = 1_000_000  # numbers of hands to draw from where no photographs choose them
_LEAST = 20  # pictures for a distance to mean something
_SHOWN = 10  # of each side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `geocongan evaluate`."""
    add = parser.add_argument
    add(
        "--weights", type=Path, metavar="FILE|RUN",
        help=".onnx of geocongan export, run of geocongan train, or .weights.h5 (default: the one that comes along)",
    )  # fmt: skip
    add("--synthetic", default="render", metavar="SOURCE", help="folder of the SynthHands layout, or the word render")
    add("--real", required=True, metavar="DIR", help="prepared photographs of people held out")
    add("--silnet", type=Path, metavar="RUN", help="a second SilNet, not the one of the translator's training")
    add("--detector", type=Path, metavar="FILE", help=".onnx of the detector (default: the tracker's own)")
    add("--inception", action="store_true", help="FID and KID by Inception features too, which torchmetrics fetches")
    add("--n", type=int, default=500, help="pictures of each side; none is taken twice")
    add(
        "--plausibility", type=int, default=0, metavar="N",
        help="fit a hand to N translations and to N of broken hands (about 1.5 s for each N; default: none)",
    )  # fmt: skip
    add("--sheet", type=Path, metavar="FILE", help="draw renders, translations and photographs below each other")
    add("--json", type=Path, metavar="FILE", help="write the figures for programs")


def run(args: argparse.Namespace) -> None:
    """Measure, print, and write the figures where asked."""
    if args.n < _LEAST:
        raise HandposeError(f"--n must be at least {_LEAST} for a distance to mean something, not {args.n}")
    require(args, plausibility=0)
    if args.sheet:
        check_picture(args.sheet)
    prepare_outputs("geocongan", [path for path in (args.sheet, args.json) if path])
    judge = judged_by(args.silnet, args.weights) if args.silnet else ""
    translator, eye, finder = open_translator(args.weights), Eye(), HandFinder(args.detector)
    silnet = _silnet(args.silnet, translator.size) if args.silnet else None
    sides = DomainBatches(DomainConfig(args.synthetic, args.real, translator.size, args.n, _SEED, split=None))
    batch = sides.measured()
    shown, real = to_picture(batch["synthetic"]), to_picture(batch["real"])
    if min(len(shown), len(real)) < _LEAST:
        counts = f"{len(shown)} renders, {len(real)} photographs"
        raise HandposeError(f"{counts}; a distance needs {_LEAST} of each to mean something")
    measure_inception = inception_measure(real) if args.inception else None  # told now if it cannot be had
    painted = translator.painted(shown)
    figures = measure(shown, painted, real, eye) | found_hands(shown, painted, real, eye, finder)
    if silnet is not None:
        found = through(silnet, to_network(painted)) > 0
        figures["mask_iou"] = float(mask_iou(found, batch["synthetic_mask"] > 0.5).mean())
    if measure_inception:
        figures["fid_inception_renders"], figures["kid_inception_renders"] = measure_inception(shown)
        figures["fid_inception"], figures["kid_inception"] = measure_inception(painted)
    if args.plausibility:
        figures |= plausibility(sides.synthetic, translator, eye, args.plausibility)
    report(figures, eye, judge)
    if args.json:
        write_json(args.json, figures)
    if args.sheet:
        rows = [picture for row in (shown, painted, real) for picture in row[:_SHOWN]]
        write_image(args.sheet, contact_sheet(rows, columns=_SHOWN))


def judged_by(silnet: Path, weights: Path | None) -> str:
    """Say in words which SilNet measures silhouettes. Raises HandposeError where the translator was trained with that very one."""
    taught_by = trained_with(weights)
    if silnet_sha256(silnet) == taught_by:
        raise HandposeError(f"{silnet}: the translator was trained with this SilNet; give --silnet a second one")
    if taught_by is None:
        return "a SilNet that may have been part of the loss: the translator's card does not tell"
    return "a SilNet that was part of no loss"


def measure(shown: np.ndarray, painted: np.ndarray, real: np.ndarray, eye: Eye) -> dict[str, float]:
    """Compare renders (N, S, S, 3) uint8 and their translations with photographs, and the joints of both with each other."""
    of_real, _ = eye(real)
    before, joints_before = eye(shown)
    after, joints_after = eye(painted)
    moved = np.linalg.norm(joints_after - joints_before, axis=-1).mean(-1) * shown.shape[1]
    return {
        "n": float(len(shown)), "n_real": float(len(real)), "size_px": float(shown.shape[1]), **_distances("", before, after, of_real),
        "drift_px": float(moved.mean()), "drift_p90_px": float(np.percentile(moved, 90)),
    }  # fmt: skip


def found_hands(
    shown: np.ndarray, painted: np.ndarray, real: np.ndarray, eye: Eye, finder: HandFinder
) -> dict[str, float]:
    """Compare the hands that the detector finds in renders, translations and photographs; tell how many, and how sure it is.

    Distances are left out where it finds too few.
    """
    figures: dict[str, float] = {}
    features: list[np.ndarray] = []
    for name, pictures in (("renders", shown), ("translated", painted), ("real", real)):
        confidence, crops = finder(pictures, eye.network.input_size)
        figures |= {f"confidence_{name}": float(confidence.mean()), f"found_{name}": float(len(crops))}
        features += [eye(crops)[0]] if len(crops) >= _LEAST else []
    return figures | (_distances("_hand", *features) if len(features) == 3 else {})


def _distances(kind: str, before: np.ndarray, after: np.ndarray, real: np.ndarray) -> dict[str, float]:
    return {
        f"fid{kind}_renders": fid(before, real), f"fid{kind}": fid(after, real),
        f"kid{kind}_renders": kid(before, real), f"kid{kind}": kid(after, real),
    }  # fmt: skip


def plausibility(side: RenderedSide | LabelledSide, translator: Translator, eye: Eye, count: int) -> dict[str, float]:
    """Fit the kinematic hand to joints of translations of whole hands and of broken ones, and to the renders' silhouettes; hands of a folder give way to our own renders."""
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


def report(figures: dict[str, float], eye: Eye, judge: str = "") -> None:
    """Print the figures, each with what it was measured by; `judge` is what measured silhouettes."""
    n, size = f"n={figures['n']:.0f}, photographs {figures['n_real']:.0f}", f"{figures['size_px']:.0f} px on white"
    own = f"features of {eye.name} (SHA-256 {eye.sha256[:12]})"
    to_eye = f"{size} resized by area to {eye.network.input_size} px"
    _report_distances(figures, "", f"{n}, {to_eye}, {own}")
    if "found_real" in figures:
        counts = "/".join(f"{figures[f'found_{name}']:.0f}" for name in ("translated", "renders", "real"))
        of = "/".join(f"{figures[name]:.0f}" for name in ("n", "n", "n_real"))
        cut = f"hands found in {counts} of {of} translations/renders/photographs"
        if "fid_hand" in figures:
            _report_distances(figures, "_hand", f"{cut}, cut to {eye.network.input_size} px, {own}")
        sure = ", ".join(f"{name} {figures[f'confidence_{name}']:.3f}" for name in ("translated", "renders", "real"))
        print(f"  detector's mean confidence: {sure} ({n}, {size} resized to the detector's; {cut})")
    if "fid_inception" in figures:
        _report_distances(figures, "_inception", f"{n}, {size} resized {RESIZED}, {FEATURES}")
    print(f"  RegNet's joints moved {figures['drift_px']:.2f} px, 90th percentile {figures['drift_p90_px']:.2f} px ({n}, {to_eye}, {eye.name})")  # fmt: skip
    if "mask_iou" in figures:
        print(f"  silhouette IoU {figures['mask_iou']:.3f}, by {judge} ({n}, {size})")
    if "plausibility_auc" in figures:
        print(
            f"  a hand fitted to {figures['plausibility_n']:.0f} translations: IoU with the renders' silhouettes {figures['plausibility_iou']:.3f}, joints "
            f"{figures['plausibility_residual']:.3f} of the hand's size off, {figures['plausibility_limits']:.1f} angles at their limits; "
            f"told from as many translations of broken hands with AUC {figures['plausibility_auc']:.3f}"
        )


def _report_distances(figures: dict[str, float], kind: str, measured_by: str) -> None:
    mark = "-H" if kind == "_hand" else ""
    for name, digits in (("fid", 2), ("kid", 4)):
        value, renders = figures[f"{name}{kind}"], figures[f"{name}{kind}_renders"]
        ratio = f"; ratio {value / renders:.2f}" if renders > 0 else ""
        print(
            f"  {name.upper()}{mark} {value:.{digits}f} (renders themselves {renders:.{digits}f}{ratio}) ({measured_by})"
        )


def _silnet(run: Path, size: int):
    from geocongan.gan import load_silnet  # Keras, for those who ask for it

    return load_silnet(run, size)
