"""What the tracker's frame computes compiled equals the same in plain NumPy."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fit import CAMERA, random_pose, random_problem, seeds, seen

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.fit.energy import SIGMA_3D_MM, normal_equations
from handpose.fit.observe import observe
from handpose.fit.solver import Status, covariance_of, sigma_of_joints, solve
from handpose.kinematics import fk_and_jacobian_reference, forward_kinematics
from handpose.lens import lens_of, pixel_of, plane_of
from handpose.prediction import Prediction
from handpose.rotation import exp_so3, log_so3
from handpose.shrink import halved
from handpose.skeleton import PARENTS, Skeleton
from tracker.aim import box_of, steadied
from tracker.filters import OneEuro, PoseFilter

SKELETON = Skeleton.default("left")
LENSES = [(), (0.1, -0.05, 0.001, 0.002), (-0.2, 0.05, 0.0, 0.0, 0.01), (0.5, 0.5, 0.01, -0.01)]
EXACT = {"rtol": 1e-9, "atol": 1e-9}


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(LENSES))
def test_lens_is_the_cameras(seed, distortion):
    rng = np.random.default_rng(seed)
    camera = Camera(610.0, 600.0, 322.5, 238.0, (640, 480), distortion)
    pixels, points = rng.uniform(0, 480, (21, 2)), rng.normal((0, 0, 600), 60, (21, 3))
    np.testing.assert_allclose(plane_of(pixels, lens_of(camera)), camera.rays(pixels)[:, :2], **EXACT)
    np.testing.assert_allclose([pixel_of(*p, lens_of(camera)) for p in points], camera.project(points), **EXACT)
    crop = Crop.from_joints(camera, pixels)
    np.testing.assert_allclose(
        crop.to_image(pixels), camera.project(crop.camera.rays(pixels) @ crop.camera_from_crop.T), **EXACT
    )


@pytest.mark.parametrize("shape", [(40, 60, 3), (41, 61, 3), (40, 60), (40, 60, 4)])
def test_halving_is_that_of_opencv(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for cut in (image, image[3:, 5:], image[:, ::-1]):
        rows, columns = cut.shape[0] // 2, cut.shape[1] // 2
        wanted = cv2.resize(cut[: 2 * rows, : 2 * columns].copy(), (columns, rows), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(halved(cut, 2.0)[0], wanted)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_terms_of_a_prediction(seed):
    rng = np.random.default_rng(seed)
    prediction, crop = seen(SKELETON, random_pose(rng), rng, 3.0, 8.0)
    confidence = rng.uniform(0, 1, 21)
    confidence[:5] = 0.01, 0.04, 0.06, np.nan, 1.5
    prediction.sigma_px[6], prediction.joints_px[7] = np.nan, (np.inf, 0)
    prediction = Prediction(prediction.joints_px, prediction.sigma_px, prediction.joints_rel, confidence, 1.0, 1.0)
    terms = observe(prediction, crop, SKELETON.bone_lengths_mm, lens_of(CAMERA))
    sure = (confidence >= 0.05) & (confidence <= 1) & np.isfinite(prediction.sigma_px)
    sure &= np.isfinite(prediction.joints_px).all(-1)
    pixels = np.where(sure[:, None], prediction.joints_px, (CAMERA.cx, CAMERA.cy))
    least = max(0.004 * np.ptp(pixels[sure], axis=0).max(), 0.3)
    joints = prediction.joints_rel @ crop.camera_from_crop.T
    bones = joints[1:] - joints[PARENTS[1:]]
    bones *= (SKELETON.bone_lengths_mm[1:] / np.linalg.norm(bones, axis=-1))[:, None]
    trust = np.where(sure, np.sqrt(np.clip(confidence, 0.1, 1)), 0.3)
    np.testing.assert_allclose(terms[0], pixels, **EXACT)
    np.testing.assert_allclose(
        terms[1], np.where(sure, confidence / np.maximum(prediction.sigma_px, least), 0), **EXACT
    )
    np.testing.assert_allclose(terms[2][1:], bones.reshape(5, 4, 3).cumsum(1).reshape(-1, 3), atol=1e-5)
    np.testing.assert_allclose(terms[3], trust / SIGMA_3D_MM, **EXACT)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_covariance_and_expected_errors(seed):
    rng = np.random.default_rng(seed)
    problem, vector = random_problem(rng, SKELETON)
    matrix = normal_equations(SKELETON, problem, vector)[2]
    covariance = np.linalg.inv(matrix)
    np.testing.assert_allclose(covariance_of(matrix), covariance, rtol=1e-9, atol=1e-9 * np.abs(covariance).max())
    joints, jacobian = fk_and_jacobian_reference(SKELETON.offsets_mm, SKELETON.axes, vector)
    spread = jacobian @ covariance @ jacobian.transpose(0, 2, 1)
    ray = joints / np.linalg.norm(joints, axis=-1, keepdims=True)
    along = np.einsum("ni,nij,nj->n", ray, spread, ray)
    across = (np.trace(spread, axis1=1, axis2=2) - along) / 2
    np.testing.assert_allclose(
        sigma_of_joints(joints, jacobian, covariance) ** 2, np.stack([across, along], -1), rtol=1e-8, atol=1e-8
    )
    assert (covariance_of(-matrix) == np.eye(26) * 1e6).all()


def test_a_start_that_explains_too_little_is_refused():
    problem, vector = random_problem(np.random.default_rng(0), SKELETON)
    energy = normal_equations(SKELETON, problem, vector)[0]
    refused = solve(SKELETON, problem, vector, start_below=0.99 * energy)
    assert refused.status is Status.START_REFUSED and refused.energy == pytest.approx(energy)
    np.testing.assert_array_equal(refused.vector, vector)
    np.testing.assert_array_equal(
        solve(SKELETON, problem, vector, start_below=1.01 * energy).vector, solve(SKELETON, problem, vector).vector
    )


def test_filters_follow_their_formula():
    """Casiez et al. 2012, and for the rotation the same on the path of its small turns."""
    rng = np.random.default_rng(0)
    poses = np.cumsum(rng.normal(0, 0.3, (30, 26)), 0)
    times = np.cumsum(rng.uniform(0.02, 0.05, 30))
    cutoff, beta = np.r_[1.5, 1.5, 0.8, np.full(23, 1.5)], np.r_[0.010, 0.010, 0.006, np.full(23, 0.8)]

    def share(hz, dt):
        return 1 / (1 + 1 / (2 * np.pi * hz * dt))

    pose_filter, plain = PoseFilter(), OneEuro(2.0, 0.1)
    np.testing.assert_array_equal(pose_filter(poses[0], times[0]), poses[0])
    plain(poses[0].reshape(13, 2), times[0])
    path = np.r_[poses[0, :3], np.zeros(3), poses[0, 6:]]
    states = [(path, path, np.zeros(26)), (poses[0], poses[0], np.zeros(26))]
    for before, pose, dt, time_s in zip(poses, poses[1:], np.diff(times), times[1:], strict=False):
        now = exp_so3(pose[3:6])
        path = np.r_[pose[:3], states[0][1][3:6] + log_so3(now @ exp_so3(before[3:6]).T), pose[6:]]
        for n, (value, low, slope) in enumerate([(path, cutoff, beta), (pose, 2.0, 0.1)]):
            filtered, raw, speed = states[n]
            speed = speed + share(1.0, dt) * ((value - raw) / dt - speed)
            filtered = filtered + share(low + slope * np.abs(speed), dt) * (value - filtered)
            states[n] = (filtered, value, speed)
        filtered = states[0][0].copy()
        filtered[3:6] = log_so3(exp_so3(filtered[3:6] - path[3:6]) @ now)
        np.testing.assert_allclose(pose_filter(pose, time_s), filtered, **EXACT)
        np.testing.assert_allclose(plain(pose.reshape(13, 2), time_s).ravel(), states[1][0], **EXACT)


def test_unsure_joints_are_aimed_at_where_the_fit_puts_them():
    rng = np.random.default_rng(0)
    pixels, fitted = rng.uniform(100, 300, (21, 2)), forward_kinematics(SKELETON, random_pose(rng))
    confidence = np.r_[np.full(7, 0.1), np.full(14, 0.9)]
    wanted = np.where((confidence < 0.15)[:, None], CAMERA.project(fitted), pixels)
    aimed = steadied(pixels, confidence, fitted, lens_of(CAMERA))
    np.testing.assert_allclose(aimed, wanted, **EXACT)
    np.testing.assert_array_equal(box_of(aimed), [*aimed.min(0), *aimed.max(0)])
    aimed[20, 1] = np.nan
    assert np.isnan(box_of(aimed)).all()
