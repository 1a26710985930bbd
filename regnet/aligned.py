"""Joints laid on their labels by the best similarity, as PA-MPJPE lays them before it counts, in a form that can be learnt from."""

from __future__ import annotations

from keras import ops

_TINY = 1e-6


def aligned(joints, wanted, weight):
    """Lay joints (N, 21, 3) on the `wanted` ones by turn, scale and shift, least squares weighted by (N, 21) (Umeyama 1991).

    Returns both about their weighted middles. Turn and scale are held fixed for the gradient: at the best ones the squares that they
    are chosen by have none, and through an SVD it is not finite for a flat hand.
    """
    share = weight[..., None] / (ops.sum(weight, axis=1)[:, None, None] + _TINY)
    joints = joints - ops.sum(joints * share, axis=1, keepdims=True)
    wanted = wanted - ops.sum(wanted * share, axis=1, keepdims=True)
    fixed = ops.stop_gradient(joints)
    left, stretch, right = ops.svd(ops.matmul(ops.transpose(fixed * share, (0, 2, 1)), wanted), full_matrices=False)
    mirror = ops.where(ops.linalg.det(ops.matmul(left, right)) < 0, -1.0, 1.0)
    signs = ops.stack([ops.ones_like(mirror), ops.ones_like(mirror), mirror], axis=-1)
    turn = ops.stop_gradient(ops.matmul(left * signs[:, None], right))
    scale = ops.sum(stretch * signs, axis=-1) / (ops.sum(ops.square(fixed) * share, axis=(1, 2)) + _TINY)
    return ops.matmul(joints, turn) * ops.stop_gradient(scale)[:, None, None], wanted
