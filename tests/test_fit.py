"""The fit: every term's Jacobian is its derivative, the compiled solver equals the reference, and poses are recovered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.fit import energy
from handpose.fit.energy import Problem, normal_equations
from handpose.fit.fitter import HandFitter
from handpose.fit.initialise import palm_rotation, translation, with_bone_lengths
from handpose.fit.solver import Status, energy_of, solve
from handpose.kinematics import fk_and_jacobian_reference, forward_kinematics
from handpose.prediction import Prediction
from handpose.skeleton import ANGLE_LIMITS_RAD, M0, WRIST, Skeleton

seeds = st.integers(0, 2**32 - 1)
CAMERA = Camera(600.0, 600.0, 319.5, 239.5, (640, 480))


def random_pose(rng) -> np.ndarray:
    low, high = ANGLE_LIMITS_RAD.T
    angles = low + rng.uniform(0.15, 0.85, 20) * (high - low)
    return np.concatenate([rng.uniform((-80, -60, 350), (80, 60, 700)), rng.normal(0, 1.2, 3), angles])


def random_problem(rng, skeleton) -> tuple[Problem, np.ndarray]:
    vector = random_pose(rng)
    joints = forward_kinematics(skeleton, vector + rng.normal(0, 0.1, 26))
    return Problem(
        np.array([600, 610, 320, 240.0]), CAMERA.project(joints) + rng.normal(0, 20, (21, 2)),
        rng.uniform(0.01, 1, 21) * (rng.random(21) > 0.2), joints - joints[0] + rng.normal(0, 20, (21, 3)), rng.uniform(0.01, 0.1, 21),
        vector + rng.normal(0, 0.2, 26), rng.uniform(0.1, 2, 26),
    ), vector + np.r_[np.zeros(6), rng.normal(0, 0.6, 20)]  # fmt: skip


def seen(skeleton, vector, rng=None, noise_px=0.0, noise_mm=0.0, camera=CAMERA) -> tuple[Prediction, Crop]:
    """What a perfect, or noisy, RegNet says of a hand."""
    joints = forward_kinematics(skeleton, vector)
    pixels = camera.project(joints)
    crop = Crop.from_joints(camera, pixels)
    if rng is not None:
        pixels = pixels + rng.normal(0, noise_px, pixels.shape)
        joints = joints + rng.normal(0, noise_mm, joints.shape)
    rel = (joints - joints[M0]) / np.linalg.norm(joints[M0] - joints[WRIST])
    sigma = np.full(21, max(noise_px, 0.3))
    return Prediction(pixels, sigma, rel @ crop.camera_from_crop, np.full(21, 0.95), 1.0, 1.0), crop


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from(["2d", "3d", "limits", "temporal"]))
def test_every_term_has_its_true_jacobian(seed, term):
    rng = np.random.default_rng(seed)
    skeleton = Skeleton.default("left")
    problem, vector = random_problem(rng, skeleton)

    def evaluate(v):
        joints, jacobian = fk_and_jacobian_reference(skeleton.offsets_mm, skeleton.axes, v)
        if term == "limits":
            return energy.error_limits(v)
        if term == "temporal":
            return energy.error_temporal(problem, v)
        return (energy.error_2d if term == "2d" else energy.error_3d)(problem, joints, jacobian)

    step = 1e-6
    numeric = np.stack(
        [(evaluate(vector + e)[0] - evaluate(vector - e)[0]) / (2 * step) for e in np.eye(26) * step], -1
    )
    np.testing.assert_allclose(evaluate(vector)[1], numeric, atol=2e-3 * max(1, np.abs(numeric).max() * 1e-3))


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_gradient_is_that_of_the_energy(seed):
    skeleton = Skeleton.default("right")
    problem, vector = random_problem(np.random.default_rng(seed), skeleton)
    step = 1e-5
    numeric = [
        (normal_equations(skeleton, problem, vector + e)[0] - normal_equations(skeleton, problem, vector - e)[0])
        / (2 * step)
        for e in np.eye(26) * step
    ]
    np.testing.assert_allclose(normal_equations(skeleton, problem, vector)[1], numeric, rtol=1e-4, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(["left", "right"]))
def test_compiled_solver_equals_the_reference(seed, side):
    skeleton = Skeleton.default(side)
    problem, vector = random_problem(np.random.default_rng(seed), skeleton)
    for fast, reference in zip(
        energy_of(skeleton, problem, vector), normal_equations(skeleton, problem, vector), strict=True
    ):
        np.testing.assert_allclose(fast, reference, rtol=1e-9, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(["left", "right"]))
def test_exact_predictions_are_recovered(seed, side):
    """Poses within the limits come back to 0.1 mm when the frame is shown a few times."""
    skeleton, vector = Skeleton.default(side), random_pose(np.random.default_rng(seed))
    fitter, (prediction, crop) = HandFitter(skeleton, CAMERA), seen(skeleton, vector)
    for frame in range(25):
        solution = fitter.update(prediction, crop, frame / 10)
    np.testing.assert_allclose(solution.joints_mm, forward_kinematics(skeleton, vector), atol=0.1)


def test_noise_leaves_about_a_centimetre():
    """3 px and 8 mm of noise on a moving hand of known bones: median absolute error below 12 mm."""
    rng = np.random.default_rng(5)
    skeleton, start, end = Skeleton.default("left"), random_pose(rng), random_pose(rng)
    end[3:6] = start[3:6] + 0.5
    fitter, errors = HandFitter(skeleton, CAMERA), []
    for frame in range(120):
        share = 0.5 - 0.5 * np.cos(2 * np.pi * frame / 60)
        vector = start + share * (end - start)
        prediction, crop = seen(skeleton, vector, rng, 3.0, 8.0)
        solution = fitter.update(prediction, crop, frame / 30)
        errors.append(np.linalg.norm(solution.joints_mm - forward_kinematics(skeleton, vector), axis=-1))
    assert np.median(errors[5:]) < 12
    across, along = solution.sigma_mm.mean(0)
    assert along > across, "depth is the weak direction"


def test_a_fast_turn_does_not_lose_the_hand():
    skeleton, vector = Skeleton.default("left"), random_pose(np.random.default_rng(1))
    fitter = HandFitter(skeleton, CAMERA)
    for frame in range(30):
        vector[4] += 0.35  # 20 degrees a frame
        prediction, crop = seen(skeleton, vector)
        solution = fitter.update(prediction, crop, frame / 30)
    error = np.linalg.norm(solution.joints_mm - forward_kinematics(skeleton, vector), axis=-1)
    assert error.mean() < 15


@pytest.mark.parametrize("broken", ["nan", "unseen", "one point"])
def test_bad_input_never_raises(broken):
    skeleton, vector = Skeleton.default("left"), random_pose(np.random.default_rng(2))
    fitter = HandFitter(skeleton, CAMERA)
    prediction, crop = seen(skeleton, vector)
    bad = {
        "nan": Prediction(prediction.joints_px * np.nan, prediction.sigma_px, prediction.joints_rel * np.nan, prediction.confidence, 1, 1),
        "unseen": Prediction(prediction.joints_px, prediction.sigma_px, prediction.joints_rel, np.zeros(21), 0, 0),
        "one point": Prediction(np.full((21, 2), 100.0), prediction.sigma_px, np.zeros((21, 3)), prediction.confidence, 1, 1),
    }[broken]  # fmt: skip
    for first in (bad, prediction):
        fitter.reset()
        fitter.update(first, crop, 0.0)
        solution = fitter.update(bad, crop, 0.03)
        assert np.isfinite(solution.joints_mm).all()
    recovered = fitter.update(prediction, crop, 0.06)
    assert np.isfinite(recovered.joints_mm).all()


def test_statuses_tell_what_happened():
    skeleton, problem_vector = Skeleton.default("left"), random_pose(np.random.default_rng(3))
    problem, _ = random_problem(np.random.default_rng(3), skeleton)
    assert solve(skeleton, problem, problem_vector, 1).status is Status.STEPS_USED
    assert solve(skeleton, problem, problem_vector, 200).status is Status.CONVERGED
    assert solve(skeleton, problem, problem_vector * np.nan).status is Status.FAILED
    unseen = Problem(
        problem.pinhole,
        problem.observed_px,
        np.zeros(21),
        problem.relative_mm,
        np.zeros(21),
        problem.expected,
        problem.weight_temporal,
    )
    assert solve(skeleton, unseen, problem_vector).status is Status.NOTHING_SEEN


def test_motion_carries_an_unseen_hand():
    skeleton, vector = Skeleton.default("left"), random_pose(np.random.default_rng(4))
    fitter = HandFitter(skeleton, CAMERA)
    unknown = fitter.predict(0.0)
    assert unknown.status is Status.NOTHING_SEEN and unknown.vector[2] == 450, "before any fit: the paper's first guess"
    for frame in range(20):
        vector[0] += 5
        last = fitter.update(*seen(skeleton, vector), frame / 30)
    carried = fitter.predict(20 / 30)
    assert carried.vector[0] > last.vector[0] + 1 and (carried.sigma_mm > last.sigma_mm).all()
    np.testing.assert_array_equal(carried.covariance, last.covariance)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_starts_in_closed_form_are_exact_on_exact_input(seed):
    rng = np.random.default_rng(seed)
    skeleton, vector = Skeleton.default("left"), random_pose(rng)
    joints = forward_kinematics(skeleton, vector)
    relative = with_bone_lengths((joints - joints[M0]) * rng.uniform(0.1, 3), skeleton.bone_lengths_mm)
    np.testing.assert_allclose(relative, joints - joints[0], atol=1e-6)
    place = translation(np.array([600, 600, 319.5, 239.5]), relative, CAMERA.project(joints), np.ones(21))
    np.testing.assert_allclose(place, vector[:3], atol=1e-5)
    flat = vector.copy()
    flat[6:] = 0
    palm = forward_kinematics(skeleton, flat)
    rotated = palm_rotation(skeleton, palm - palm[0]) @ skeleton.rest_joints_mm.T
    np.testing.assert_allclose(rotated.T, palm - palm[0], atol=1e-6)
