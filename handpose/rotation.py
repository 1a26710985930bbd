"""Rotation vectors: exponential, logarithm and the derivative of the one by the other (batched NumPy).

A single rotation, as the tracker needs several of for each frame, is computed in plain floats: that takes a twentieth of the time.
"""

from __future__ import annotations

import math

import numpy as np


def plane_rotation(angle_rad: float | np.ndarray) -> np.ndarray:
    """Rotations (..., 2, 2) of the plane by angles (...) [rad], clockwise on the screen."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.moveaxis(np.array([[c, -s], [s, c]]), (0, 1), (-2, -1))


def skew(vectors: np.ndarray) -> np.ndarray:
    """Give the matrices (..., 3, 3) of the cross product with `vectors` (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(vectors, float), -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(x.shape + (3, 3))


def exp_so3(rotation_rad: np.ndarray) -> np.ndarray:
    """Turn rotation vectors (..., 3) [rad] into matrices (..., 3, 3) by Rodrigues' formula."""
    rotation_rad = np.asarray(rotation_rad, float)
    if rotation_rad.ndim == 1:
        return _exp_one(*rotation_rad.tolist())
    k = skew(rotation_rad)
    angle = np.linalg.norm(rotation_rad, axis=-1)[..., None, None]
    a = np.sinc(angle / np.pi)
    b = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.eye(3) + a * k + b * (k @ k)


def log_so3(matrices: np.ndarray) -> np.ndarray:
    """Turn rotation matrices (..., 3, 3) into rotation vectors (..., 3) [rad] of length at most pi."""
    matrices = np.asarray(matrices, float)
    if matrices.ndim == 2:
        return _log_one(matrices.tolist())
    quaternion = quaternions(matrices)
    w, v = quaternion[..., :1], quaternion[..., 1:]
    sine = np.linalg.norm(v, axis=-1, keepdims=True)
    half = np.arctan2(sine, w)
    small = sine < 1e-8
    ratio = np.where(small, 2.0 / np.where(small, w, 1.0), 2.0 * half / np.where(small, 1.0, sine))
    return ratio * v


def quaternions(m: np.ndarray) -> np.ndarray:
    """Turn rotation matrices (..., 3, 3) into unit quaternions (..., 4), (w, x, y, z), w >= 0.

    The largest of the four squares is used, so none is divided by zero.
    """
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


def left_jacobian(rotation_rad: np.ndarray) -> np.ndarray:
    """Give J (..., 3, 3) with exp(r + dr) = exp(J dr) exp(r) to first order, for rotation vectors (..., 3) [rad]."""
    k = skew(rotation_rad)
    angle = np.linalg.norm(rotation_rad, axis=-1)[..., None, None]
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    b = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    c = np.where(small, 1 / 6 - angle**2 / 120, (safe - np.sin(safe)) / safe**3)
    return np.eye(3) + b * k + c * (k @ k)


def _exp_one(x: float, y: float, z: float) -> np.ndarray:
    """`exp_so3` of one vector."""
    square = x * x + y * y + z * z
    angle = math.sqrt(square)
    a = math.sin(angle) / angle if angle > 1e-4 else 1 - square / 6
    half = 0.5 * angle
    b = 0.5 * (math.sin(half) / half) ** 2 if angle > 1e-4 else 0.5 - square / 24
    return np.array(
        [
            [1 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y],
            [b * x * y + a * z, 1 - b * (x * x + z * z), b * y * z - a * x],
            [b * x * z - a * y, b * y * z + a * x, 1 - b * (x * x + y * y)],
        ]
    )


def _log_one(m: list[list[float]]) -> np.ndarray:
    """`log_so3` of one matrix, by way of the quaternion's largest part."""
    (xx, m01, m02), (m10, yy, m12), (m20, m21, zz) = m
    squares = (1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz)
    best = max(range(4), key=squares.__getitem__)
    yz, zx, xy = m21 - m12, m02 - m20, m10 - m01
    sxy, szx, syz = m01 + m10, m02 + m20, m12 + m21
    w, x, y, z = (
        (squares[0], yz, zx, xy),
        (yz, squares[1], sxy, szx),
        (zx, sxy, squares[2], syz),
        (xy, szx, syz, squares[3]),
    )[best]
    if w < 0:
        w, x, y, z = -w, -x, -y, -z
    norm, sine = math.sqrt(w * w + x * x + y * y + z * z), math.sqrt(x * x + y * y + z * z)
    ratio = 2 * math.atan2(sine, w) / sine if sine > 1e-8 * norm else 2 / w
    return np.array([ratio * x, ratio * y, ratio * z])
