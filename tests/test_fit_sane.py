"""The fit stays sane whatever the network says, finds back, and descends as plain NumPy would."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fit import CAMERA, random_pose, random_problem, seeds, seen

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.fit.energy import Problem, normal_equations
from handpose.fit.fitter import HandFitter
from handpose.fit.solver import Solution, Status, sigma_of_joints, solve
from handpose.kinematics import fk_and_jacobian_reference, forward_kinematics
from handpose.prediction import Prediction
from handpose.rotation import exp_so3, log_so3
from handpose.skeleton import Skeleton

BENT = Camera(600.0, 600.0, 319.5, 239.5, (640, 480), (-0.3, 0.1, 0.0, 0.0, 0.0))
SKELETON = Skeleton.default("left")


def assert_sane(solution: Solution) -> None:
    for array in (solution.vector, solution.joints_mm, solution.sigma_mm, solution.covariance):
        assert np.isfinite(array).all()
    assert 50 <= solution.vector[2] <= 20_000


def mean_error_mm(solution: Solution, vector: np.ndarray) -> float:
    return float(np.linalg.norm(solution.joints_mm - forward_kinematics(SKELETON, vector), axis=-1).mean())


def reference_descent(skeleton: Skeleton, problem: Problem, vector: np.ndarray, steps: int) -> np.ndarray:
    """Levenberg-Marquardt with the reference energy and NumPy's own solver; damping as in the compiled one."""
    damping = 1e-3
    energy, gradient, matrix = normal_equations(skeleton, problem, vector)
    for _ in range(steps):
        step = np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)) + 1e-12 * np.eye(26), -gradient)
        trial = normal_equations(skeleton, problem, vector + step)
        if trial[0] < energy:
            vector, (energy, gradient, matrix), damping = vector + step, trial, damping * 0.2
        else:
            damping *= 6.0
    return vector


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(["left", "right"]), st.integers(1, 5))
def test_compiled_descent_equals_numpy(seed, side, steps):
    skeleton = Skeleton.default(side)
    problem, start = random_problem(np.random.default_rng(seed), skeleton)
    solution = solve(skeleton, problem, start, steps)
    expected = reference_descent(skeleton, problem, start, solution.steps)
    np.testing.assert_allclose(solution.vector, expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_expected_errors_of_joints_are_those_of_sampled_poses(seed):
    rng = np.random.default_rng(seed)
    vector = random_pose(rng)
    root = rng.normal(0, 1e-4, (26, 26))
    joints, jacobian = fk_and_jacobian_reference(SKELETON.offsets_mm, SKELETON.axes, vector)
    poses = vector + rng.normal(size=(2000, 26)) @ root.T
    shifts = np.array([forward_kinematics(SKELETON, pose) for pose in poses]) - joints
    ray = joints / np.linalg.norm(joints, axis=-1, keepdims=True)
    along = (shifts * ray).sum(-1)
    across = np.sqrt(((shifts**2).sum(-1) - along**2).mean(0) / 2)
    measured = np.stack([across, np.sqrt((along**2).mean(0))], -1)
    np.testing.assert_allclose(sigma_of_joints(joints, jacobian, root @ root.T), measured, rtol=0.12)


@pytest.mark.parametrize("camera", [CAMERA, BENT], ids=["pinhole", "distorted"])
@pytest.mark.parametrize("field", ["joints_px", "joints_rel", "sigma_px", "confidence"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 1e6, 0.0, -1.0])
def test_any_broken_field_is_survived_and_forgotten(camera, field, value):
    """One joint or all, in the first frame or later: no exception, a sane hand, and good frames bring the true one back."""
    vector = random_pose(np.random.default_rng(2))
    good, crop = seen(SKELETON, vector, camera=camera)
    for which in (slice(None), 3):
        for tracked in (False, True):
            broken = np.array(getattr(good, field))
            broken[which] = value
            fitter = HandFitter(SKELETON, camera)
            if tracked:
                fitter.update(good, crop, 0.0)
            assert_sane(fitter.update(replace(good, **{field: broken}), crop, 0.03))
            assert_sane(fitter.predict(0.04))
            for frame in range(15):
                solution = fitter.update(good, crop, 0.06 + frame / 30)
            assert mean_error_mm(solution, vector) < 1


@pytest.mark.parametrize("time_s", [np.nan, np.inf, -1.0, 0.0, 1e9])
def test_any_timestamp_is_survived(time_s):
    vector = random_pose(np.random.default_rng(2))
    prediction, crop = seen(SKELETON, vector)
    fitter = HandFitter(SKELETON, CAMERA)
    for when in (0.0, time_s, 0.1):
        assert_sane(fitter.update(prediction, crop, when))
        assert_sane(fitter.predict(time_s))
    assert mean_error_mm(fitter.update(prediction, crop, 0.2), vector) < 1


@pytest.mark.parametrize("depth_mm", [300.0, 4_500.0, 12_000.0])
def test_a_hand_is_placed_where_it_is_however_far(depth_mm):
    """Pictures of 4K show a hand of 60 px at twelve metres."""
    camera, vector = Camera.from_fov((3840, 2160)), random_pose(np.random.default_rng(3))
    vector[:3] *= depth_mm / vector[2]
    joints = forward_kinematics(SKELETON, vector)
    pixels, crop = camera.project(joints), Crop.from_joints(camera, camera.project(joints))
    rel = (joints - joints[9]) / np.linalg.norm(joints[9] - joints[0])
    prediction = Prediction(pixels, np.full(21, 0.3), rel @ crop.camera_from_crop, np.full(21, 0.95), 1.0, 1.0)
    solution = HandFitter(SKELETON, camera).update(prediction, crop, 0.0)
    assert solution.joints_mm[:, 2].mean() == pytest.approx(joints[:, 2].mean(), rel=0.02)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([0.01, 0.5, 2.0, 150.0, 600.0]))
def test_noise_alone_gives_a_sane_hand(seed, spread_px):
    """Joints anywhere, 3D that fits nothing: finite and between 50 mm and 20 m in every frame."""
    rng = np.random.default_rng(seed)
    fitter = HandFitter(SKELETON, CAMERA)
    for frame in range(8):
        pixels = 240 + rng.normal(0, spread_px, (21, 2))
        prediction = Prediction(
            pixels, rng.uniform(0.5, 8, 21), rng.normal(0, 1, (21, 3)), rng.uniform(0, 1, 21), 1.0, 1.0
        )
        assert_sane(fitter.update(prediction, Crop.from_joints(CAMERA, pixels), frame / 30))


@pytest.mark.parametrize("seed", range(8))
def test_one_flipped_frame_does_not_flip_a_tracked_hand(seed):
    vector = random_pose(np.random.default_rng(seed))
    prediction, crop = seen(SKELETON, vector)
    fitter = HandFitter(SKELETON, CAMERA)
    for frame in range(10):
        fitter.update(prediction, crop, frame / 30)
    flipped = replace(prediction, joints_rel=prediction.joints_rel * (1, 1, -1))
    assert mean_error_mm(fitter.update(flipped, crop, 10 / 30), vector) < 20


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_first_frame_is_left_behind(seed):
    """Without beginning anew, half of such hands stayed more than 50 mm off for good."""
    vector = random_pose(np.random.default_rng(seed))
    prediction, crop = seen(SKELETON, vector)
    fitter = HandFitter(SKELETON, CAMERA)
    fitter.update(replace(prediction, joints_rel=prediction.joints_rel * (1, 1, -1)), crop, 0.0)
    for frame in range(1, 9):
        solution = fitter.update(prediction, crop, frame / 30)
    assert mean_error_mm(solution, vector) < 10


@pytest.mark.parametrize("seed", range(4))
def test_a_hand_turns_round_and_round(seed):
    """Rotation vectors pass half and full turns without a loss."""
    rng = np.random.default_rng(seed)
    vector, axis = random_pose(rng), rng.normal(size=3)
    axis, first = axis / np.linalg.norm(axis), exp_so3(vector[3:6])
    fitter, errors = HandFitter(SKELETON, CAMERA), []
    for frame in range(130):
        vector[3:6] = log_so3(exp_so3(axis * frame / 10) @ first)
        prediction, crop = seen(SKELETON, vector)
        errors.append(mean_error_mm(fitter.update(prediction, crop, frame / 30), vector))
    assert max(errors[5:]) < 2


def test_nothing_believed_is_nothing_seen():
    vector = random_pose(np.random.default_rng(4))
    prediction, crop = seen(SKELETON, vector)
    fitter = HandFitter(SKELETON, CAMERA)
    fitter.update(prediction, crop, 0.0)
    solution = fitter.update(replace(prediction, confidence=np.zeros(21)), crop, 0.03)
    assert solution.status is Status.NOTHING_SEEN and mean_error_mm(solution, vector) < 5


@pytest.mark.parametrize("field", ["observed_px", "weight_2d", "relative_mm", "weight_3d", "expected", "pinhole"])
def test_solver_itself_never_raises(field):
    """The solver's own guard, below the fitter's: a number that is none ends in a status, or counts as unseen."""
    problem, start = random_problem(np.random.default_rng(6), SKELETON)
    solution = solve(SKELETON, replace(problem, **{field: getattr(problem, field) * np.nan}), start)
    assert np.isfinite(solution.vector).all() and np.isfinite(solution.covariance).all()
    unseen = field.startswith("weight")  # what has no weight is left out; the rest still fits
    assert (solution.status is Status.FAILED) is not unseen


def test_a_hand_that_was_hidden_and_has_stopped_is_where_it_is_seen():
    """After half a second its motion of before says little."""
    skeleton, wrong_mm = Skeleton.default("left"), []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        vector, velocity = random_pose(rng), np.concatenate([rng.normal(0, 170, 3), np.zeros(3), rng.normal(0, 1, 20)])
        vector[:3] = (0, 0, 500)
        fitter = HandFitter(skeleton, CAMERA)
        for frame in range(6):
            fitter.update(*seen(skeleton, vector + velocity * (frame - 5) / 30, rng, 2.0, 6.0), frame / 30)
        wrong_mm.append(mean_error_mm(fitter.update(*seen(skeleton, vector, rng, 2.0, 6.0), 5 / 30 + 0.5), vector))
    assert np.mean(wrong_mm) < 12 and np.max(wrong_mm) < 40, (np.mean(wrong_mm), np.max(wrong_mm))
