"""Joints laid on their labels: as the metric lays them, with the gradient of what is left over."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from handpose.metrics import procrustes_aligned
from regnet.aligned import aligned


def hands(rng, n=16):
    wanted = rng.normal(size=(n, 21, 3))
    return (wanted + 0.3 * rng.normal(size=wanted.shape)).astype(np.float32), wanted.astype(np.float32)


def left_over(joints, wanted, weight):
    laid, centred = aligned(joints, wanted, weight)
    return np.asarray(laid - centred)


@pytest.mark.parametrize("bend", ["none", "mirrored", "flat", "turned over"])
def test_alignment_is_the_metrics(bend):
    joints, wanted = hands(np.random.default_rng(0))
    joints = joints * np.float32(
        {"none": (1, 1, 1), "mirrored": (-1, 1, 1), "flat": (1, 1, 0), "turned over": (-1, 1, -1)}[bend]
    )
    expected = procrustes_aligned(joints.astype(float), wanted.astype(float)) - wanted
    assert left_over(joints, wanted, np.full((16, 21), 0.3, np.float32)) == pytest.approx(expected, abs=2e-5)


def test_joints_without_weight_have_no_say():
    joints, wanted = hands(np.random.default_rng(1))
    weight = np.ones((16, 21), np.float32)
    weight[:, 7:] = 0
    expected = procrustes_aligned(joints[:, :7].astype(float), wanted[:, :7].astype(float)) - wanted[:, :7]
    joints[:, 7:], wanted[:, 7:] = 50, -1000
    assert left_over(joints, wanted, weight)[:, :7] == pytest.approx(expected, abs=2e-5)
    assert np.isfinite(left_over(joints, wanted, 0 * weight)).all()


def test_the_gradient_of_squares_is_that_of_finite_differences():
    """Though turn and scale are held fixed: at the best ones squares do not change with them."""
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(2)
    joints, wanted = hands(rng)
    weight = np.ones((16, 21), np.float32)
    direction = rng.normal(size=joints.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        seen = tf.constant(joints)
        tape.watch(seen)
        laid, centred = aligned(seen, wanted, weight)
        squares = tf.reduce_sum(tf.square(laid - centred))
    along = float(np.sum(tape.gradient(squares, seen).numpy() * direction))
    ahead, behind = (
        float(np.sum(left_over(joints + step * direction, wanted, weight).astype(float) ** 2)) for step in (1e-2, -1e-2)
    )
    assert along == pytest.approx((ahead - behind) / 2e-2, rel=2e-3)
