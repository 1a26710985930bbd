"""Plausibility: broken hands are broken where they should be, the fit finds hands it can draw, and the score tells the two apart."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from geocongan import evaluate
from geocongan.broken_hands import break_finger, broken, drawn_hand, pairs
from geocongan.domains import RenderedSide
from geocongan.measures import mask_iou
from geocongan.outline_fit import OutlinedHand, OutlineFit
from geocongan.plausibility import OUTPUTS, Judge, Plausibility, auc
from handpose.camera import Camera
from handpose.crop import Crop
from handpose.errors import HandposeError
from handpose.fit.fitter import HandFitter
from handpose.kinematics import HandPose, forward_kinematics
from handpose.prediction import Prediction
from handpose.runtime import load_network
from handpose.skeleton import ANGLE_LIMITS_RAD, M0, TIPS
from handpose.synthesis.sampler import RenderSampler
from handpose.synthesis.translated import without_forearm
from regnet.predictor import DEFAULT_WEIGHTS

CAMERA = Camera.from_fov((128, 128), 28.0)
OPEN = HandPose(
    np.array([0.0, 75.0, 520.0]), np.array([np.pi, 0.0, 0.0]), np.zeros(20)
)  # its back to the camera, fingers up

# Numbers of that seed's hands which resemble photographs of digits shown by hand and of rock, paper, scissors, as a translator's do.
LIKE_PHOTOGRAPHS = [
    4045, 3367, 4612, 3088, 5207, 5592, 1884, 984, 3473, 5826, 1736, 5516, 1987, 3639, 3756, 3034, 5988, 1418, 3801, 3601,
    209, 144, 5137, 1786, 1485, 2523, 1432, 5052, 1029, 5785, 2854, 2, 4459, 4815, 1325, 2402, 3530, 1827, 4211, 1249,
]  # fmt: skip


@pytest.fixture(scope="module")
def sampler():
    return RenderSampler(31, 128)


@pytest.fixture(scope="module")
def network():
    return load_network(DEFAULT_WEIGHTS, "auto", "cpu", OUTPUTS)


@pytest.fixture(scope="module")
def open_hand(sampler):
    return replace(drawn_hand(sampler, 0, 128), pose=OPEN, camera=CAMERA)


@pytest.fixture(scope="module")
def outline():
    return OutlineFit(CAMERA)


def near(hand, joint, reach_px=6.0):
    """The silhouette's pixels around a joint of the whole hand."""
    seen = hand.camera.scaled_to((96, 96)).project(forward_kinematics(hand.skeleton, hand.pose.to_vector()))[joint]
    grid = np.stack(np.meshgrid(np.arange(96), np.arange(96)), axis=-1)
    return np.linalg.norm(grid - seen, axis=-1) < reach_px


@pytest.mark.parametrize("finger", range(5))
def test_a_missing_or_short_finger_leaves_its_place_empty(open_hand, finger):
    whole = open_hand.silhouette()
    lost = {}
    for kind in ("missing", "shortened"):
        left = break_finger(np.random.default_rng(finger), open_hand, kind, finger).silhouette()
        assert not (left & near(open_hand, TIPS[finger], 3.0)).any()
        for other in set(range(5)) - {finger}:
            around = near(open_hand, TIPS[other])
            np.testing.assert_array_equal(left[around], whole[around])
        assert not (left & ~whole).sum() > 3
        lost[kind] = (whole & ~left).sum()
    assert lost["missing"] > 1.3 * lost["shortened"] > 0


@pytest.mark.parametrize("finger", [0, 1, 4])
def test_an_extra_finger_stands_beside_the_five(open_hand, finger):
    whole = open_hand.silhouette()
    more = break_finger(np.random.default_rng(finger), open_hand, "extra", finger).silhouette()
    assert not (whole & ~more).any()
    assert (more & ~whole).sum() > 0.03 * whole.sum()


def test_a_bent_finger_shortens_along_its_bones(sampler, open_hand):
    angles = np.zeros(20)
    angles[5:8] = 0.9
    bent = replace(open_hand, pose=replace(OPEN, angles_rad=angles))
    short = break_finger(np.random.default_rng(0), bent, "shortened", 1)
    tip, base = (forward_kinematics(hand.skeleton, hand.pose.to_vector())[[8, 5]] for hand in (bent, short))
    share = np.linalg.norm(base[0] - base[1]) / np.linalg.norm(tip[0] - tip[1])
    assert 0.4 <= share <= 0.6
    np.testing.assert_allclose(base[1], tip[1])


def test_the_whole_hand_is_the_one_that_the_translators_see(sampler):
    side = RenderedSide(31, 128, None)
    for number in range(3):
        theirs, joints_px = side.picture(number)
        hand = drawn_hand(sampler, number, 128)
        np.testing.assert_allclose(hand.joints_px, joints_px, atol=1.5)
        ours = without_forearm(hand.picture(), hand.joints_px)
        masks = [picture[None, ..., 3] >= 128 for picture in (ours, theirs)]
        assert mask_iou(*masks)[0] > 0.95
        both = (masks[0] & masks[1])[0]
        assert np.abs(ours[both].astype(float) - theirs[both]).mean() < 8


def test_breaks_show_and_follow_their_numbers(sampler):
    whole, bad, kinds = pairs(sampler, range(100), 128, 12)
    again = pairs(sampler, range(100), 128, 12)
    np.testing.assert_array_equal(bad, again[1])
    assert set(kinds) == {"missing", "extra", "shortened"}
    changed = (whole[..., 3] >= 128) != (bad[..., 3] >= 128)
    assert changed.sum((1, 2)).min() > 100
    rim = changed | (whole[..., 3] % 255 > 0) | (bad[..., 3] % 255 > 0)
    assert (np.abs(whole.astype(int) - bad)[~rim].mean(-1) < 3).mean() > 0.9, "the rest of the hand stays"


def test_a_hand_whose_break_cannot_show_is_passed_over(sampler, open_hand):
    assert broken(np.random.default_rng(0), open_hand) is not None
    hidden = replace(open_hand, camera=replace(CAMERA, cx=-500.0, cy=-500.0))
    assert broken(np.random.default_rng(0), hidden) is None
    with pytest.raises(HandposeError, match="can be broken"):
        pairs(_Unbreakable(sampler), [0], 128, 1)


class _Unbreakable:
    """A sampler that draws fists alone, seen from the knuckles."""

    def __init__(self, sampler):
        self.seed, self.poses, self._sampler = 0, _Fists(), sampler

    def hand(self, number):
        return self._sampler.hand(number)


class _Fists:
    def sample(self, rng, skeleton):
        angles = ANGLE_LIMITS_RAD[:, 1].copy()
        angles[::4] = 0
        return SimpleNamespace(angles_rad=angles, grip=None)


def told(outline, vector, rng):
    """The fit's problem and start for joints that a RegNet sees a little wrong."""
    joints = forward_kinematics(outline.skeleton, vector)
    joints_px = CAMERA.project(joints) + rng.normal(0, 1.5, (21, 2))
    crop = Crop.from_joints(CAMERA, joints_px)
    relative = (joints - joints[M0]) / outline.skeleton.scale_mm + rng.normal(0, 0.05, (21, 3))
    seen = Prediction(joints_px, np.full(21, 1.5), relative @ crop.camera_from_crop, np.full(21, 0.8), 1.0, 1.0)
    fitter = HandFitter(outline.skeleton, CAMERA)
    return fitter.observe(seen, crop), fitter.update(seen, crop, 0.0).vector


@pytest.mark.parametrize("seed", range(3))
def test_the_outline_brings_the_fit_nearer(outline, seed):
    rng = np.random.default_rng(seed)
    angles = np.tile([0.0, 0.4, 0.4, 0.3], 5) * rng.uniform(0.3, 1.5, 20)
    lengths = rng.uniform(-0.08, 0.08, 5)
    truth = OutlinedHand(np.concatenate([replace(OPEN, angles_rad=angles).to_vector(), lengths]), 2)
    mask = outline.silhouette(truth, 128)
    problem, start = told(outline, truth.values[:26], rng)
    first = OutlinedHand(np.concatenate([start, np.zeros(5)]), 1)
    found = outline(problem, start, mask)
    before, after = (
        mask_iou(
            (outline.silhouette(hand, 128) & outline.above_wrist(truth, 128))[None],
            (mask & outline.above_wrist(truth, 128))[None],
        )[0]
        for hand in (first, found)
    )
    assert after > max(before, 0.94)
    wanted = CAMERA.project(outline.joints_mm(truth))
    off = [np.linalg.norm(CAMERA.project(outline.joints_mm(hand)) - wanted, axis=-1).mean() for hand in (first, found)]
    assert off[1] < off[0]


@pytest.mark.parametrize("seed", range(3, 8))
def test_the_fit_of_outlines_goes_downhill(outline, seed):
    """Gradient and matrix foretell its energy over the steps that they are made by, for silhouettes move by pixels."""
    rng = np.random.default_rng(seed)
    problem, start = told(outline, OPEN.to_vector(), rng)
    hand = OutlinedHand(np.concatenate([start, rng.normal(0, 0.03, 5)]), 1)
    target = np.zeros((48, 48), np.float32)
    energy, gradient, matrix = outline._normal_equations(hand, problem, target, 2.0)
    assert (np.linalg.eigvalsh(matrix) > 0).all()

    def energy_at(values):
        moved = replace(hand, values=values)
        misfit = outline._misfit(moved, target, 2.0, hand)
        return outline._joint_energy(problem, values) + 0.5 * float((misfit**2).sum())

    np.testing.assert_allclose(energy_at(hand.values), energy)
    steps = np.concatenate([np.full(3, 2.0), np.full(3, 0.03), np.full(20, 0.06), np.full(5, 0.04)])
    changes = np.array([energy_at(hand.values + step) - energy for step in np.diag(steps)])
    slopes = changes / steps - 0.5 * steps * np.diag(matrix)
    alike = np.corrcoef(gradient * steps, slopes * steps)[0, 1]
    assert alike > 0.999
    assert np.linalg.norm((gradient - slopes) * steps) < 0.03 * np.linalg.norm(gradient * steps)


def test_the_wrist_cuts_silhouettes_alike(outline):
    above = outline.above_wrist(OutlinedHand(np.concatenate([OPEN.to_vector(), np.zeros(5)]), 1), 128)
    wrist, knuckle = CAMERA.project(forward_kinematics(outline.skeleton, OPEN.to_vector()))[[0, M0]]
    rows = np.nonzero(above.any(1))[0]
    assert knuckle[1] < wrist[1]
    assert rows[0] == 0 and abs(rows[-1] - (wrist[1] - 0.05 * (wrist[1] - knuckle[1]))) <= 1


def test_every_part_lowers_the_score():
    good = Plausibility(0.95, 0.03, 0.03, 0.1, 1, 0.02)
    for worse in ({"iou": 0.9}, {"reach": 0.06}, {"worst_residual": 0.2}, {"excess_rad": 0.2}):
        assert replace(good, **worse).score < good.score
    assert np.isfinite(Plausibility(1.0, 0.0, 0.0, 0.0, 0, 0.0).score)


def test_auc_is_the_chance_of_being_told_apart():
    assert auc([3, 4], [1, 2]) == 1 and auc([1], [2, 3]) == 0
    assert auc([1, 2], [1, 2]) == 0.5
    assert auc([2, 2], [1, 2, 3]) == 0.5
    assert auc([1, 3], [2]) == 0.5


def test_whole_hands_are_told_from_broken_ones(network):
    """Of hands in the poses and views of photographs; a few of each bound less than five hundred do."""
    whole, bad, _ = pairs(RenderSampler(424_242, 128), LIKE_PHOTOGRAPHS, 128, 16)
    judge = Judge(network)
    judged, judged_bad = judge(whole), judge(bad)
    assert np.mean([one.iou for one in judged]) > 0.94 > np.mean([one.iou for one in judged_bad])
    assert auc([one.score for one in judged], [one.score for one in judged_bad]) > 0.75


def test_a_picture_without_a_hand_is_judged_the_worst(network):
    empty, worst = Judge(network)(np.zeros((1, 128, 128, 4), np.uint8))[0], Plausibility(0, 1, 1, 1, 20, np.pi)
    assert empty.score == pytest.approx(worst.score)


def test_evaluate_reports_it(network, capsys):
    """With a translator that changes nothing."""
    figures = evaluate.plausibility(RenderedSide(31, 128, None), _Unchanging(), SimpleNamespace(network=network), 3)
    assert figures["plausibility_n"] == 3 and 0 <= figures["plausibility_auc"] <= 1
    assert 0.7 < figures["plausibility_iou"] <= 1
    others = dict.fromkeys(
        ("n", "n_real", "size_px", "fid", "fid_renders", "kid", "kid_renders", "drift_px", "drift_p90_px"), 1.0
    )
    evaluate.report(
        {**others, **figures}, SimpleNamespace(name="a", sha256="b" * 64, network=SimpleNamespace(input_size=128))
    )
    assert f"AUC {figures['plausibility_auc']:.3f}" in capsys.readouterr().out


class _Unchanging:
    size = 128

    def __call__(self, pictures):
        return pictures
