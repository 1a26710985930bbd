"""A pinhole camera with OpenCV's distortion. Pixel (0, 0) is the centre of the top-left pixel."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handpose.errors import HandposeError

MOST_STEPS = 50  # of Newton's method; a lens that is no extreme takes five
SETTLED = 1e-11  # on the plane z = 1
_LEAST_FOV_DEG, _MOST_FOV_DEG = 1.0, 175.0


def check_fov(fov_deg: float | None) -> None:
    """Raise HandposeError where a horizontal field of view is given that no lens has."""
    if fov_deg is not None and not _LEAST_FOV_DEG <= fov_deg <= _MOST_FOV_DEG:
        limits = f"{_LEAST_FOV_DEG:g} and {_MOST_FOV_DEG:g} degrees"
        raise HandposeError(f"a field of view is between {limits}, not {fov_deg:g}")


@dataclass(frozen=True)
class Camera:
    """Intrinsics [px], picture size (width, height) and distortion (k1, k2, p1, p2, k3) or ()."""

    fx: float
    fy: float
    cx: float
    cy: float
    size_px: tuple[int, int]
    distortion: tuple[float, ...] = ()

    @classmethod
    def from_fov(cls, size_px: tuple[int, int], fov_deg: float | None = None) -> Camera:
        """Guess a camera: `fov_deg` is the horizontal field of view; without it, 60 degrees across the longer side.

        Raises HandposeError for a field of view that no lens has.
        """
        check_fov(fov_deg)
        width, height = size_px
        across = width if fov_deg is not None else max(width, height)
        focal = across / 2 / math.tan(math.radians(60.0 if fov_deg is None else fov_deg) / 2)
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2, (width, height))

    @classmethod
    def from_file(cls, path: str | Path) -> Camera:
        """Read `camera.json`. Raises HandposeError where it is missing or is no camera."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text()))
        except OSError as error:
            raise HandposeError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise HandposeError(f"{path}: no JSON ({error})") from error
        except HandposeError as error:
            raise HandposeError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, values: dict) -> Camera:
        """Take the content of `camera.json`. Raises HandposeError where it is no camera."""
        try:
            width, height = (int(side) for side in values["size_px"])
            fx, fy, cx, cy = (float(values[key]) for key in ("fx", "fy", "cx", "cy"))
            distortion = tuple(float(k) for k in values.get("distortion") or ())
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise HandposeError(
                f"no camera; expected JSON with fx, fy, cx, cy, size_px [width, height] ({error})"
            ) from error
        finite = all(map(math.isfinite, (fx, fy, cx, cy, *distortion)))
        if not (finite and min(fx, fy, width, height) > 0 and len(distortion) in (0, 4, 5)):
            raise HandposeError("focal lengths and size_px must be positive, distortion 0, 4 or 5 numbers, all finite")
        camera = cls(fx, fy, cx, cy, (width, height), distortion)
        if any(distortion) and not camera._is_one_to_one():
            raise HandposeError(
                "the distortion folds the picture over: calibrate the camera anew, with fewer coefficients"
            )
        return camera

    def to_dict(self) -> dict:
        """Give the content of `camera.json`."""
        return {
            "fx": self.fx, "fy": self.fy, "cx": self.cx, "cy": self.cy,
            "size_px": list(self.size_px), "distortion": list(self.distortion),
        }  # fmt: skip

    def scaled_to(self, size_px: tuple[int, int]) -> Camera:
        """Return the same camera for pictures of another size."""
        x, y = size_px[0] / self.size_px[0], size_px[1] / self.size_px[1]
        centre = (self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5
        return Camera(self.fx * x, self.fy * y, *centre, size_px, self.distortion)

    @property
    def to_squares(self) -> np.ndarray:
        """By what to multiply x and y, (2,), at most 1 each, for pixels that are squares."""
        return min(self.fx, self.fy) / np.array([self.fx, self.fy])

    @property
    def matrix(self) -> np.ndarray:
        """Intrinsic matrix (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def project(self, points_mm: np.ndarray) -> np.ndarray:
        """Project points (..., 3) of the camera frame to pixels (..., 2)."""
        points = np.asarray(points_mm, float)
        plane = _distort(points[..., :2] / points[..., 2:], self.distortion)
        return plane * (self.fx, self.fy) + (self.cx, self.cy)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Give the point (..., 3) with z = 1 that each pixel (..., 2) looks at; NaN where the distortion leaves none."""
        observed = (np.asarray(pixels, float) - (self.cx, self.cy)) / (self.fx, self.fy)
        plane = observed
        for _ in range(MOST_STEPS if any(self.distortion) else 0):
            step = _newton_step(observed - _distort(plane, self.distortion), _slopes(plane, self.distortion))
            plane = plane + step
            if np.abs(step).max(initial=0) < SETTLED:
                break
        return np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)

    def unproject(self, pixels: np.ndarray, depth_mm: np.ndarray) -> np.ndarray:
        """Give the camera-frame points (..., 3) seen at `pixels` (..., 2) with z of `depth_mm` (...) [mm]."""
        return self.rays(pixels) * np.asarray(depth_mm, float)[..., None]

    def _is_one_to_one(self) -> bool:
        """Say whether the distortion folds nowhere inside the picture: there, pixels would have two rays or none."""
        width, height = self.size_px
        pixels = np.meshgrid(np.linspace(-0.5, width - 0.5, 17), np.linspace(-0.5, height - 0.5, 17))
        out_to = np.linspace(0, 1, 33)[:, None, None, None]
        with np.errstate(all="ignore"):  # absurd coefficients overflow
            slopes = _slopes(out_to * self.rays(np.stack(pixels, -1))[..., :2], self.distortion)
            return bool((_determinant(slopes) > 0).all())


def _distort(plane: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Apply radial and tangential distortion to points (..., 2) of the plane z = 1."""
    if not any(coefficients):
        return plane
    k1, k2, p1, p2, k3 = (*coefficients, 0.0)[:5]
    x, y = plane[..., 0], plane[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y],
        axis=-1,
    )


def _slopes(plane: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Derivatives (..., 3) of `_distort`: of its x by x, of either by the other, which are equal, and of its y by y."""
    k1, k2, p1, p2, k3 = (*coefficients, *[0.0] * 5)[:5]
    x, y = plane[..., 0], plane[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    by_r2 = k1 + r2 * (2 * k2 + r2 * 3 * k3)
    return np.stack(
        [
            radial + 2 * x * x * by_r2 + 2 * p1 * y + 6 * p2 * x,
            2 * x * y * by_r2 + 2 * p1 * x + 2 * p2 * y,
            radial + 2 * y * y * by_r2 + 6 * p1 * y + 2 * p2 * x,
        ],
        axis=-1,
    )


def _determinant(slopes: np.ndarray) -> np.ndarray:
    return slopes[..., 0] * slopes[..., 2] - slopes[..., 1] ** 2


def _newton_step(missing: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Solve `slopes` (..., 3) times a step (..., 2) = `missing` (..., 2); NaN where the lens has folded."""
    determinant = _determinant(slopes)
    determinant = np.where(determinant > 0, determinant, np.nan)
    x = slopes[..., 2] * missing[..., 0] - slopes[..., 1] * missing[..., 1]
    y = slopes[..., 0] * missing[..., 1] - slopes[..., 1] * missing[..., 0]
    return np.stack([x, y], axis=-1) / determinant[..., None]
