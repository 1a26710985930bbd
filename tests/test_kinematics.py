"""The hand's tables and kinematics: the definitions hold, and the Jacobian is the derivative."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handpose.kinematics import (
    HandPose,
    fk_and_jacobian,
    fk_and_jacobian_reference,
    forward_kinematics,
    jacobian,
    joint_frames,
)
from handpose.rotation import exp_so3, left_jacobian, log_so3
from handpose.skeleton import (
    ANGLE_LIMITS_RAD,
    ANGLE_NAMES,
    BONES,
    JOINT_NAMES,
    M0,
    PARENTS,
    TIPS,
    Skeleton,
    permutation,
)

SIDES = ("left", "right")
seeds = st.integers(0, 2**32 - 1)


def random_vector(rng: np.random.Generator, spin: float = 1.5) -> np.ndarray:
    angles = rng.uniform(*ANGLE_LIMITS_RAD.T)
    return np.concatenate([rng.normal(0, 200, 3), rng.normal(0, spin, 3), angles])


def test_tables_agree_with_each_other():
    assert len(JOINT_NAMES) == len(PARENTS) == 21 and len(ANGLE_NAMES) == len(ANGLE_LIMITS_RAD) == 20
    assert [JOINT_NAMES[i] for i in TIPS] == ["T3", "I3", "M3", "R3", "L3"]
    assert all(JOINT_NAMES[p] == "W" if JOINT_NAMES[c].endswith("0") else p == c - 1 for p, c in BONES)
    assert (ANGLE_LIMITS_RAD[:, 0] < ANGLE_LIMITS_RAD[:, 1]).all()


def test_permutation_reorders_by_name():
    source = list(reversed(JOINT_NAMES))
    assert [source[i] for i in permutation(source)] == list(JOINT_NAMES)
    with pytest.raises(ValueError):
        permutation(source[1:])


def test_rest_pose_is_the_flat_open_hand():
    left = Skeleton.default("left", 100.0)
    joints = left.rest_joints_mm
    np.testing.assert_allclose(joints[M0], (0, 100, 0), atol=1e-9)
    np.testing.assert_allclose(joints[:, 2], 0, atol=1e-12)
    assert joints[TIPS[0], 0] < joints[TIPS[1], 0] < joints[TIPS[4], 0], "a left hand's thumb is at -x"
    assert Skeleton.default("right").rest_joints_mm[TIPS[0], 0] > 0


def test_the_default_hand_has_the_measures_of_hands():
    """A man's hand is some 190 mm long; index and ring finger lack a tenth of the middle one's length, the little one a quarter."""
    hand = Skeleton.default()
    assert 185 < np.linalg.norm(hand.rest_joints_mm[TIPS[2]]) < 200
    fingers = hand.bone_lengths_mm[1:].reshape(5, 4)[1:, 1:].sum(1)
    np.testing.assert_allclose(fingers / fingers[1], (0.9, 1, 0.93, 0.76), atol=0.03)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("angle", range(20))
def test_angle_signs(side, angle):
    """Flexion goes to the palm (+z), abduction to the thumb's side."""
    skeleton, vector = Skeleton.default(side), np.zeros(26)
    vector[6 + angle] = 0.3
    tip = TIPS[angle // 4]
    moved = forward_kinematics(skeleton, vector)[tip] - skeleton.rest_joints_mm[tip]
    if "abduction" in ANGLE_NAMES[angle]:
        assert moved[0] * (1 if side == "right" else -1) > 1
    else:
        assert moved[2] > 1


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(SIDES))
def test_fast_path_equals_reference(seed, side):
    rng = np.random.default_rng(seed)
    skeleton = Skeleton.default(side, proportions=rng.uniform(0.8, 1.2, 21))
    vector = random_vector(rng, rng.choice([0.0, 1e-9, 1e-5, 1.0, 3.0]))
    fast = fk_and_jacobian(skeleton.offsets_mm, skeleton.axes, vector)
    reference = fk_and_jacobian_reference(skeleton.offsets_mm, skeleton.axes, vector)
    for a, b in zip(fast, reference, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(SIDES))
def test_jacobian_is_the_derivative(seed, side):
    rng = np.random.default_rng(seed)
    skeleton, vector = Skeleton.default(side), random_vector(rng)
    step = 1e-5
    differences = [
        (forward_kinematics(skeleton, vector + e) - forward_kinematics(skeleton, vector - e)) / (2 * step)
        for e in np.eye(26) * step
    ]
    np.testing.assert_allclose(jacobian(skeleton, vector), np.stack(differences, -1), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_bones_keep_their_length_and_frames_turn_them(seed):
    rng = np.random.default_rng(seed)
    skeleton, vector = Skeleton.default("left"), random_vector(rng)
    frames, joints = joint_frames(skeleton, vector)
    for parent, child in BONES:
        np.testing.assert_allclose(
            joints[child] - joints[parent], frames[parent] @ skeleton.offsets_mm[child], atol=1e-9
        )
    np.testing.assert_allclose(frames @ frames.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (21, 3, 3)), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_equal_angles_of_the_other_hand_are_the_mirror_image(seed):
    angles = np.random.default_rng(seed).uniform(*ANGLE_LIMITS_RAD.T)
    left, vector = Skeleton.default("left"), np.concatenate([np.zeros(6), angles])
    mirrored = forward_kinematics(left.mirrored(), vector) * (-1, 1, 1)
    np.testing.assert_allclose(forward_kinematics(left, vector), mirrored, atol=1e-9)
    np.testing.assert_array_equal(left.mirrored().mirrored().axes, left.axes)


def test_hand_pose_round_trip():
    vector = random_vector(np.random.default_rng(0))
    np.testing.assert_array_equal(HandPose.from_vector(vector).to_vector(), vector)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([0.0, 1e-12, 1e-7, 1e-3, 1.0, 3.0, np.pi - 1e-9]), st.sampled_from([(), (4,), (2, 3)]))
def test_rotation_logarithm_inverts_exponential(seed, angle, shape):
    axis = np.random.default_rng(seed).normal(size=shape + (3,))
    rotation = angle * axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    np.testing.assert_allclose(log_so3(exp_so3(rotation)), rotation, atol=2e-8)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([0.0, 1e-6, 0.5, 3.0]))
def test_left_jacobian_is_the_derivative(seed, angle):
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    rotation, step = angle * axis / np.linalg.norm(axis), 1e-6
    inverse = exp_so3(rotation).T
    differences = [log_so3(exp_so3(rotation + e) @ inverse) / step for e in np.eye(3) * step]
    np.testing.assert_allclose(left_jacobian(rotation), np.stack(differences, -1), atol=1e-5)


def test_given_bone_lengths_are_kept():
    lengths = Skeleton.default("right").bone_lengths_mm * np.linspace(0.9, 1.1, 21)
    changed = Skeleton.default("right").with_bone_lengths(lengths)
    np.testing.assert_allclose(changed.bone_lengths_mm[1:], lengths[1:])
    assert changed.side == "right" and changed.scale_mm == pytest.approx(lengths[M0])
