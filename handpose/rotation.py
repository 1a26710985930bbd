"""Rotation vectors: exponential, logarithm and the derivative of the one by the other (batched NumPy)."""

from __future__ import annotations

import numpy as np


def skew(vectors: np.ndarray) -> np.ndarray:
    """Give the matrices (..., 3, 3) of the cross product with `vectors` (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(vectors, float), -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(x.shape + (3, 3))


def exp_so3(rotation_rad: np.ndarray) -> np.ndarray:
    """Turn rotation vectors (..., 3) [rad] into matrices (..., 3, 3) by Rodrigues' formula."""
    k = skew(rotation_rad)
    angle = np.linalg.norm(rotation_rad, axis=-1)[..., None, None]
    a = np.sinc(angle / np.pi)
    b = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.eye(3) + a * k + b * (k @ k)


def log_so3(matrices: np.ndarray) -> np.ndarray:
    """Turn rotation matrices (..., 3, 3) into rotation vectors (..., 3) [rad] of length at most pi."""
    quaternion = _quaternion(np.asarray(matrices, float))
    w, v = quaternion[..., :1], quaternion[..., 1:]
    sine = np.linalg.norm(v, axis=-1, keepdims=True)
    half = np.arctan2(sine, w)
    small = sine < 1e-8
    ratio = np.where(small, 2.0 / np.where(small, w, 1.0), 2.0 * half / np.where(small, 1.0, sine))
    return ratio * v


def left_jacobian(rotation_rad: np.ndarray) -> np.ndarray:
    """Give J (..., 3, 3) with exp(r + dr) = exp(J dr) exp(r) to first order, for rotation vectors (..., 3) [rad]."""
    k = skew(rotation_rad)
    angle = np.linalg.norm(rotation_rad, axis=-1)[..., None, None]
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    b = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    c = np.where(small, 1 / 6 - angle**2 / 120, (safe - np.sin(safe)) / safe**3)
    return np.eye(3) + b * k + c * (k @ k)


def _quaternion(m: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) as (w, x, y, z), w >= 0; the largest of the four squares is used, so none is divided by zero."""
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    yz, zx, xy = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    sxy, szx, syz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    rows = np.stack(
        [
            np.stack([1 + xx + yy + zz, yz, zx, xy], axis=-1),
            np.stack([yz, 1 + xx - yy - zz, sxy, szx], axis=-1),
            np.stack([zx, sxy, 1 - xx + yy - zz, syz], axis=-1),
            np.stack([xy, szx, syz, 1 - xx - yy + zz], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(np.diagonal(rows, axis1=-2, axis2=-1), axis=-1)
    quaternion = np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :]
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.where(quaternion[..., :1] < 0, -quaternion, quaternion)
