"""One-euro filters on real timestamps (Casiez et al. 2012): still hands are steady, fast ones lag little."""

from __future__ import annotations

from typing import Any

import numpy as np

from handpose.rotation import exp_so3, log_so3


class OneEuro:
    """Filter values of any shape.

    min_cutoff_hz: at rest; beta: how many Hz the cutoff grows per unit of speed (Hz per value unit per second); derivative_hz: of the
    speed's own filter.
    """

    def __init__(self, min_cutoff_hz, beta, derivative_hz: float = 1.0):
        self.min_cutoff_hz, self.beta, self.derivative_hz = np.asarray(min_cutoff_hz), np.asarray(beta), derivative_hz
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._value: Any = None
        self._raw: Any = None
        self._speed: Any = None
        self._time_s = 0.0

    def __call__(self, value: np.ndarray, time_s: float) -> np.ndarray:
        """Filter the value of `time_s` [s]; a time that does not advance changes nothing."""
        value = np.asarray(value, float)
        if self._value is None:
            self._value, self._raw, self._speed, self._time_s = value, value, np.zeros_like(value), time_s
            return value
        dt = time_s - self._time_s
        if dt <= 0:
            return self._value
        speed = (value - self._raw) / dt
        self._speed = self._speed + _share(self.derivative_hz, dt) * (speed - self._speed)
        cutoff = self.min_cutoff_hz + self.beta * np.abs(self._speed)
        self._value = self._value + _share(cutoff, dt) * (value - self._value)
        self._raw, self._time_s = value, time_s
        return self._value


class PoseFilter:
    """Filter pose vectors (26,): depth more than the rest of the wrist, rotation on its own group, angles."""

    def __init__(self):
        self._wrist = OneEuro((1.5, 1.5, 0.8), (0.010, 0.010, 0.006))  # Hz, Hz per mm/s
        self._angles = OneEuro(1.5, 0.8)  # Hz, Hz per rad/s
        self._turn = OneEuro(1.5, 0.8)
        self._rotation = self._turned = None

    def reset(self) -> None:
        """Forget the past."""
        for one in (self._wrist, self._angles, self._turn):
            one.reset()
        self._rotation = self._turned = None

    def __call__(self, vector: np.ndarray, time_s: float) -> np.ndarray:
        """Filter the pose vector of `time_s` [s]."""
        return np.concatenate(
            [self._wrist(vector[:3], time_s), self._rotate(vector[3:6], time_s), self._angles(vector[6:], time_s)]
        )

    def _rotate(self, rotation_rad: np.ndarray, time_s: float) -> np.ndarray:
        """Unroll the rotation into a path of small turns, filter how far along it is, and turn by what is still missing."""
        now = exp_so3(rotation_rad)
        if self._rotation is None:
            self._rotation, self._turned = now, np.zeros(3)
            self._turn(self._turned, time_s)
            return rotation_rad
        self._turned = self._turned + log_so3(now @ self._rotation.T)
        self._rotation = now
        behind = self._turned - self._turn(self._turned, time_s)
        return log_so3(exp_so3(-behind) @ now)


def lag_ms(one: OneEuro, speed: float, rate_hz: float = 30.0) -> float:
    """Measure by how much [ms] a filter trails a value that grows by `speed` units per second."""
    one.reset()
    times = np.arange(200) / rate_hz
    filtered = [one(np.asarray(speed * t), t) for t in times]
    one.reset()
    return float(1000 * (times[-1] - filtered[-1] / speed))


def _share(cutoff_hz, dt: float):
    """Weight of a new value in a low-pass filter."""
    return 1 / (1 + 1 / (2 * np.pi * np.maximum(cutoff_hz, 1e-6) * dt))
