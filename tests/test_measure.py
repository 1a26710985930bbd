"""Measuring by a protocol: places in the camera's frame, relations of two hands, and the figures against other ways to compute them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.optimize import least_squares
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from handpose import metrics
from handpose.camera import Camera
from handpose.data.sample import Sample
from handpose.heatmap import cells_from_px, gaussian_heatmaps
from handpose.kinematics import forward_kinematics
from handpose.skeleton import DEFAULT_SCALE_MM, M0, TIPS, WRIST, Skeleton
from regnet.labelled import cut
from regnet.measure import WORST, measure
from regnet.predictor import Predictor
from regnet.protocols import PROTOCOLS, errors_3d, scores_3d

SIZE = 128
CAMERA = Camera(500.0, 505.0, 320.0, 236.0, (640, 480))


def two_hands(seed):
    """A right and a left hand of default size in one picture."""
    rng = np.random.default_rng(seed)
    for side, x in (("right", -90), ("left", 90)):
        at = np.r_[x + rng.uniform(-20, 20), rng.uniform(-60, 60), rng.uniform(450, 650)]
        vector = np.r_[at, rng.normal(0, 0.4, 3), rng.uniform(0, 0.5, 20)]
        joints_mm = forward_kinematics(Skeleton.default(side), vector)
        image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
        name = f"{seed:04d}.jpg {side}"
        yield Sample(
            name, lambda image=image: image, CAMERA.project(joints_mm), joints_mm=joints_mm, side=side, camera=CAMERA
        )


class Knowing:
    """Sees every window's true joints, `wrong_px` (2,) [window px] off in 2D, thumbs `bent_mm` too deep."""

    input_size = SIZE

    def __init__(self, windows, wrong_px=(0.0, 0.0), bent_mm=0.0):
        self.known = {}
        for window in windows:
            joints_px = window.crop.to_crop(window.joints_px) + wrong_px
            relative = window.joints_mm - window.joints_mm[M0]
            relative[1:5, 2] += bent_mm
            for mirror in (False, True):
                image = window.image[:, ::-1] if mirror else window.image
                seen_px = joints_px * (-1, 1) + (SIZE - 1, 0) if mirror else joints_px
                self.known[image.tobytes()] = (seen_px, relative * ((-1, 1, 1) if mirror else 1))

    def __call__(self, images):
        seen = [self.known[image.tobytes()] for image in images]
        ones = np.ones((len(images), 21))
        return {
            "heatmaps": gaussian_heatmaps(cells_from_px(np.array([px for px, _ in seen]), SIZE)),
            "joints_rel": np.array([mm for _, mm in seen]) / DEFAULT_SCALE_MM,
            "confidence": ones, "presence": ones[:, :1], "left": ones[:, :1],
        }  # fmt: skip


@pytest.fixture(scope="module")
def windows():
    return [cut(sample, SIZE) for seed in range(14) for sample in two_hands(seed)]


def figures(windows, kind, **wrong):
    return measure(Predictor(Knowing(windows, **wrong)), windows, PROTOCOLS[kind]).figures


def test_a_hand_is_put_where_it_projects(windows):
    """2D is known to a small part of a heatmap's cell, which leaves millimetres of depth."""
    exact = figures(windows, "dexter")
    assert exact["tips_absolute_mpjpe_mm"] < 8 and exact["tips_absolute_auc_0_100"] > 0.92
    off = figures(windows, "dexter", wrong_px=(12.0, 0.0))
    shift_mm = 12 * np.mean([window.joints_mm[TIPS, 2].mean() / window.crop.focal_px for window in windows])
    assert off["tips_absolute_mpjpe_mm"] == pytest.approx(shift_mm, rel=0.2) and shift_mm > 15
    assert off["tips_mpjpe_mm"] == pytest.approx(exact["tips_mpjpe_mm"], abs=1e-6)


def test_two_hands_of_a_picture_are_related(windows):
    measured = measure(Predictor(Knowing(windows)), windows, PROTOCOLS["interhand"])
    assert measured.scores["mrrpe_mm"].n == 14 and measured.figures["mrrpe_mm"] < 12
    assert measured.figures["mpjpe_all_mm"] < 1e-6 and measured.figures["side_right"] == 0.5
    right_ones = measure(Predictor(Knowing(windows)), windows[::2], PROTOCOLS["interhand"])
    assert "mrrpe_mm" not in right_ones.figures


def test_mrrpe_is_counted_in_the_axes_of_the_picture(windows):
    """Each crop has axes of its own: what both hands are off by in the picture cancels out, and nothing else."""
    moved = [0, 1]
    pair = [windows[i] for i in moved]
    truth = [window.joints_mm[WRIST] @ window.crop.camera_from_crop.T for window in pair]
    network = Predictor(Knowing(pair, wrong_px=(9.0, 4.0)))
    places = []
    for window in pair:
        seen = network.windows(window.image[None], [window.side])
        camera = window.crop.camera
        relative = seen.joints_rel[0] * DEFAULT_SCALE_MM

        def misses(at, relative=relative, camera=camera, seen_px=seen.joints_px[0]):
            point = relative + at
            plane = (seen_px - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
            return (point[:, :2] - plane * point[:, 2:]).ravel()

        place = least_squares(misses, (0, 0, 500), xtol=1e-14, ftol=1e-14, gtol=1e-14).x + relative[WRIST]
        places.append(window.crop.camera_from_crop @ place)
    expected = np.linalg.norm((places[1] - places[0]) - (truth[1] - truth[0]))
    found = measure(network, pair, PROTOCOLS["interhand"]).figures["mrrpe_mm"]
    assert found == pytest.approx(expected, abs=1e-4) and found > 1


def test_depth_is_that_of_the_picture_and_not_of_the_crop(windows):
    """Hands moved along the picture's axis are wrong in depth alone, however their crops look."""
    seen = measure(Predictor(Knowing(windows)), windows, PROTOCOLS["dexter"]).figures
    deeper = []
    for window in windows:
        ahead = window.crop.camera_from_crop.T @ (0.0, 0.0, 60.0)
        deeper.append(replace(window, joints_mm=window.joints_mm + ahead))
    figures = measure(Predictor(Knowing(windows)), deeper, PROTOCOLS["dexter"]).figures
    assert figures["tips_no_depth_mpjpe_mm"] == pytest.approx(seen["tips_no_depth_mpjpe_mm"], abs=1e-9)
    assert figures["tips_absolute_mpjpe_mm"] > 50 > 20 > seen["tips_absolute_mpjpe_mm"]


def test_the_worst_are_kept_in_order(windows):
    rng = np.random.default_rng(5)
    network = Knowing(windows)
    off = {}
    for window in windows:
        for image in (window.image, window.image[:, ::-1]):
            joints_px, relative = network.known[image.tobytes()]
            off[window.name] = off.get(window.name, rng.uniform(0, 30))
            network.known[image.tobytes()] = (joints_px + (0, off[window.name]), relative)
    worst = measure(Predictor(network), windows, PROTOCOLS["interhand"]).worst
    expected = sorted(off, key=lambda name: -off[name])[:WORST]
    assert [hand.window.name for hand in worst] == expected and len(worst) == 25
    for hand in worst:
        assert hand.error_px == pytest.approx(off[hand.window.name], abs=0.5)


# Each figure computed by other means than the project's, NumPy or SciPy.


def similarity(predicted, truth):
    """Horn's closed form with quaternions, as SciPy solves it, and the least-squares scale and shift."""
    a, b = predicted - predicted.mean(0), truth - truth.mean(0)
    rotation, _ = Rotation.align_vectors(b, a)
    turned = rotation.apply(a)
    return (turned * b).sum() / (a * a).sum() * turned + truth.mean(0)


def rooted(root, start, end):
    def align(predicted, truth):
        centred = predicted - predicted[root]
        bone = np.hypot.reduce(truth[end] - truth[start]) / np.hypot.reduce(predicted[end] - predicted[start])
        return bone * centred + truth[root]

    return align


def by_tips(predicted, truth):
    tips = [tip for tip in (4, 8, 12, 16, 20) if not np.isnan(truth[tip]).any()]
    middle, wanted = predicted[tips].sum(0) / len(tips), truth[tips].sum(0) / len(tips)
    spread = sum(np.hypot.reduce(truth[tip] - wanted) for tip in tips)
    spread /= sum(np.hypot.reduce(predicted[tip] - middle) for tip in tips)
    return np.array([wanted + spread * (joint - middle) for joint in predicted])


def rooted_in_palm(predicted, truth):
    """Moved so that W is as far from the true W as palm from palm."""
    palms = [np.vstack([(hand[0] + hand[9]) / 2, hand[1:]]) for hand in (predicted, truth)]
    aligned = rooted(0, 9, 10)(*palms)
    return np.vstack([aligned[0] - palms[1][0] + truth[0], aligned[1:]])


OTHER_WAY = {
    "palm and |M0-M1| aligned, visible joints": rooted_in_palm,
    "absolute": lambda predicted, truth: predicted,
    "absolute, error of depth left out": lambda predicted, truth: [(*p[:2], t[2]) for p, t in zip(predicted, truth)],
    "aligned by a similarity": similarity,
    "M0 and |W-M0| aligned": rooted(9, 0, 9),
    "W and |W-M0| aligned": rooted(0, 0, 9),
    "W and |M0-M1| aligned": rooted(0, 9, 10),
    "W aligned": lambda predicted, truth: predicted + (truth[0] - predicted[0]),
    "M0 aligned": lambda predicted, truth: predicted + (truth[9] - predicted[9]),
    "fingertip centroid and spread aligned": by_tips,
}


def area(errors, low, high):
    """Count joint by joint at 100 thresholds, then integrate."""
    limits = np.linspace(low, high, 100)
    counted = [sum(error <= limit for error in errors) / len(errors) for limit in limits]
    return trapezoid(counted, limits) / (high - low)


@pytest.mark.parametrize("kind", [kind for kind in PROTOCOLS if PROTOCOLS[kind].figures])
def test_every_figure_agrees_with_an_independent_one(kind):
    rng = np.random.default_rng(3)
    truth = rng.normal(0, 40, (12, 21, 3))
    predicted = truth @ Rotation.from_rotvec((0.1, 0.2, 0.3)).as_matrix() + rng.normal(0, 15, truth.shape)
    truth, predicted = truth + (0, 0, 500), predicted + (8, -5, 512)
    if kind == "dexter":
        truth[:, [joint for joint in range(21) if joint not in TIPS]] = np.nan
        truth[3, TIPS[:2]] = np.nan
    protocol = PROTOCOLS[kind]
    scores = scores_3d(protocol, errors_3d(protocol, predicted, truth))
    assert set(scores) == {figure.key for figure in protocol.figures}
    for figure in protocol.figures:
        align = OTHER_WAY[figure.alignment]
        left = [np.hypot.reduce(align(p, t) - t, axis=1) for p, t in zip(predicted, truth)]
        errors = [float(error) for hand in left for error in hand if not np.isnan(error)]
        expected = area(errors, *figure.range_mm) if figure.range_mm else sum(errors) / len(errors)
        assert scores[figure.key].value == pytest.approx(expected, abs=1e-6), figure.key
        assert 0.02 < expected < (1 if figure.range_mm else 1000)


def test_2d_figures_agree_with_independent_ones(windows):
    measured = measure(Predictor(Knowing(windows, wrong_px=(5.0, -3.0))), windows, PROTOCOLS["dexter"])
    network = Predictor(Knowing(windows, wrong_px=(5.0, -3.0)))
    relative, pixels = [], []
    for window in windows:
        seen = window.crop.to_image(network.windows(window.image[None], [window.side]).joints_px[0])
        (left, top), (right, bottom) = window.joints_px.min(0), window.joints_px.max(0)
        for joint in range(21):
            pixels.append(float(np.hypot(*(seen[joint] - window.joints_px[joint]))))
            relative.append(pixels[-1] / max(right - left, bottom - top))
    for limit in (0.05, 0.10, 0.20):
        assert measured.figures[f"pck@{limit:.2f}"] == pytest.approx(sum(r <= limit for r in relative) / len(relative))
    assert measured.figures["epe_of_box"] == pytest.approx(sum(relative) / len(relative), abs=1e-6)
    assert measured.figures["auc_2d_0_30_px"] == pytest.approx(area(pixels, 0, 30), abs=1e-6)


def carried(window, points_px):
    """Points of the picture as pixels of the window, by the pinhole's formula."""
    rays = np.c_[(points_px - (CAMERA.cx, CAMERA.cy)) / (CAMERA.fx, CAMERA.fy), np.ones(len(points_px))]
    turned = rays @ window.crop.camera_from_crop
    return window.crop.focal_px * turned[:, :2] / turned[:, 2:] + (SIZE - 1) / 2


def test_epe_in_the_crop_agrees_with_an_independent_one(windows):
    """Over labelled joints alone. Of each joint float32 heatmaps lose some 5e-6 px, of the mean of them all less than 1e-6."""
    rng = np.random.default_rng(6)
    wrong_px, labelled = rng.normal(0, 4, (21, 2)), [replace(w, valid=rng.random(21) < 0.8) for w in windows]
    network, off = Predictor(Knowing(labelled, wrong_px)), []
    for window in labelled:
        seen = network.windows(window.image[None], [window.side]).joints_px[0]
        off += np.hypot(*(seen - carried(window, window.joints_px)).T)[window.valid].tolist()
    found = measure(network, labelled).figures["epe_px"]
    assert found == pytest.approx(sum(off) / len(off), abs=1e-9)
    told = np.concatenate([np.hypot(*wrong_px[window.valid].T) for window in labelled])
    assert found == pytest.approx(told.mean(), abs=1e-6) and len(told) < 21 * len(windows)


def test_mrrpe_agrees_with_an_independent_one(windows):
    """Hands put by the normal equations where what the network says of them projects."""
    network, errors = Predictor(Knowing(windows, wrong_px=(9.0, 4.0), bent_mm=20.0)), []
    for pair in zip(windows[::2], windows[1::2]):
        wrists = []
        for window in pair:
            seen, truth = network.windows(window.image[None], [window.side]), window.joints_mm[WRIST]
            plane = (seen.joints_px[0] - (SIZE - 1) / 2) / window.crop.focal_px
            relative = seen.joints_rel[0] * DEFAULT_SCALE_MM
            rows = np.concatenate([np.c_[np.eye(2)[[k] * 21], -plane[:, k]] for k in (0, 1)])
            wanted = (plane * relative[:, 2:] - relative[:, :2]).T.ravel()
            place = np.linalg.solve(rows.T @ rows, rows.T @ wanted) + relative[WRIST]
            wrists.append(window.crop.camera_from_crop @ (place - truth))
        errors.append(np.hypot.reduce(wrists[1] - wrists[0]))
    found = measure(network, windows, PROTOCOLS["interhand"]).figures["mrrpe_mm"]
    assert found == pytest.approx(sum(errors) / len(errors), abs=1e-6) and found > 10


@pytest.mark.parametrize("limit", [5.0, 15.0])
def test_f_scores_agree_with_all_pairs(limit):
    rng = np.random.default_rng(7)
    truth = rng.uniform(-50, 50, (300, 3))
    predicted = np.concatenate([truth[:200], rng.uniform(-50, 50, (60, 3))]) + rng.normal(0, 4, (260, 3))
    apart = cdist(predicted, truth)
    precision, recall = (apart.min(1) < limit).mean(), (apart.min(0) < limit).mean()
    expected = 2 / (1 / precision + 1 / recall)
    assert metrics.f_score(predicted, truth, limit) == pytest.approx(expected, abs=1e-6)
    assert precision != recall and 0.2 < expected < 1
    assert metrics.f_score(truth, truth, limit) == 1 and metrics.f_score(truth + 1000, truth, limit) == 0
