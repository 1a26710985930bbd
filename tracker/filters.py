"""One-euro filters on real timestamps (Casiez et al. 2012): still hands are steady, fast ones lag little."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from handpose.rotation import exp_so3, log_so3
from tracker.aim import SMALLEST_CROP_PX

_PX_CUTOFF_HZ = 2.5
_PX_BETA_HZ = 10.0  # per crop side per second


class OneEuro:
    """Filter values of any shape.

    min_cutoff_hz: at rest; beta: how many Hz the cutoff grows per unit of speed (Hz per value unit per second); derivative_hz: of the
    speed's own filter.
    """

    def __init__(self, min_cutoff_hz, beta, derivative_hz: float = 1.0):
        self.min_cutoff_hz, self.beta = np.array(min_cutoff_hz, float).ravel(), np.array(beta, float).ravel()
        self.derivative_hz = derivative_hz
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._value: Any = None
        self._raw: Any = None
        self._speed: Any = None
        self._time_s = 0.0

    def __call__(self, value: np.ndarray, time_s: float) -> np.ndarray:
        """Filter the value of `time_s` [s]; a time that does not advance changes nothing."""
        value = np.array(value, float)
        if self._value is None:
            self._value, self._raw, self._speed, self._time_s = value, value, np.zeros_like(value), time_s
            return value
        dt = time_s - self._time_s
        if dt <= 0:
            return self._value
        self._value, self._speed = _advanced(
            value, self._value, self._raw, self._speed, self.min_cutoff_hz, self.beta, self.derivative_hz, dt
        )
        self._raw, self._time_s = value, time_s
        return self._value


class PixelFilter:
    """Filter the joints of a hand in the picture (21, 2) [px] by how fast they move beside its crop's side [px], which may change."""

    def __init__(self, crop_side_px: float):
        self._path = OneEuro(_PX_CUTOFF_HZ, 0.0)
        self.crop_side_px = crop_side_px

    def reset(self) -> None:
        """Forget the past."""
        self._path.reset()

    def __call__(self, joints_px: np.ndarray, time_s: float) -> np.ndarray:
        """Filter the joints of `time_s` [s]."""
        self._path.beta[:] = _PX_BETA_HZ / max(self.crop_side_px, SMALLEST_CROP_PX)
        return self._path(joints_px, time_s)


class PoseFilter:
    """Filter pose vectors (26,): depth more than the rest of the wrist, rotation on its own group, angles."""

    def __init__(self):
        cutoff_hz, beta = np.full(26, 1.5), np.full(26, 0.8)  # Hz, Hz per rad/s
        cutoff_hz[:3], beta[:3] = (1.5, 1.5, 0.8), (0.010, 0.010, 0.006)  # Hz, Hz per mm/s
        self._path = OneEuro(cutoff_hz, beta)
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._path.reset()
        self._rotation: np.ndarray | None = None
        self._turned = np.zeros(3)

    def __call__(self, vector: np.ndarray, time_s: float) -> np.ndarray:
        """Filter the pose vector of `time_s` [s]: the rotation, unrolled into a path of small turns, by how far along that path it is."""
        now, first = exp_so3(vector[3:6]), self._rotation is None
        if self._rotation is not None:
            self._turned = self._turned + log_so3(now @ self._rotation.T)
        self._rotation = now
        path = np.array(vector, float)
        path[3:6] = self._turned
        filtered = self._path(path, time_s).copy()
        filtered[3:6] = vector[3:6] if first else log_so3(exp_so3(filtered[3:6] - self._turned) @ now)
        return filtered


@njit(cache=True)
def _advanced(value, last, raw, speed, min_cutoff_hz, beta, derivative_hz, dt):
    """Filtered value and speed after `dt` [s]; cutoff and beta are one for all, or one for each number."""
    new_value, new_speed = np.empty(value.shape), np.empty(value.shape)
    old = (value.ravel(), last.ravel(), raw.ravel(), speed.ravel())
    values, speeds = new_value.reshape(-1), new_speed.reshape(-1)
    for i in range(value.size):
        now, before, seen, was = old[0][i], old[1][i], old[2][i], old[3][i]
        speeds[i] = was + _share(derivative_hz, dt) * ((now - seen) / dt - was)
        cutoff_hz = min_cutoff_hz[i % len(min_cutoff_hz)] + beta[i % len(beta)] * abs(speeds[i])
        values[i] = before + _share(cutoff_hz, dt) * (now - before)
    return new_value, new_speed


@njit(cache=True)
def _share(cutoff_hz, dt):
    """Weight of a new value in a low-pass filter."""
    return 1 / (1 + 1 / (2 * np.pi * max(cutoff_hz, 1e-6) * dt))
