"""The layers that are RegNet's own: 3D joints to heatmap cells, cells to heatmaps, and the frozen bilinear upsampling.

All of them compute in float32 whatever the training precision is: a cell number of 8 significant bits has no sub-pixel part.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

PACKAGE = "regnet"
HEATMAP_SIZE = 32
RANGE = 1.5  # heatmaps of the projection show -RANGE..RANGE, in units of |W-M0|
STAMP_RADIUS = 3  # [cells], of the released layer


class Float32Layer(keras.layers.Layer):
    """A layer without trained weights that does not follow mixed precision."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.supports_masking = False


@keras.saving.register_keras_serializable(PACKAGE)
class ProjLayer(Float32Layer):
    """Project relative 3D joints (N, J, 3) orthographically to heatmap cells (N, J, 2) (Mueller et al. 2018, section 4).

    M0, the origin, comes to the middle of the map: cell = (x + extent) / (2 extent) (size - 1), x to columns, y to rows; z has no say.

    Args:
        size: side of the heatmaps [cells].
        extent: coordinate at the border of the heatmaps, in units of |W-M0|.
    """

    def __init__(self, size: int = HEATMAP_SIZE, extent: float = RANGE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.extent = extent

    def call(self, joints_rel):
        return (joints_rel[..., :2] + self.extent) * ((self.size - 1) / (2 * self.extent))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2)

    def get_config(self) -> dict:
        return {**super().get_config(), "size": self.size, "extent": self.extent}


@keras.saving.register_keras_serializable(PACKAGE)
class RenderingLayer(Float32Layer):
    """Draw joints (N, J, 2) [cells, (column, row)] as Gaussians of peak 1: heatmaps (N, size, size, J).

    A joint keeps its sub-pixel part and the gradient is the true one. With `rounding`, the layer is the one that the authors
    released: cells are rounded (halves away from zero), the stamp ends 3 cells from its centre, and the gradient is half of what
    it would be for the unrounded cell. (Behind a `ProjLayer`, the factor from a coordinate to a cell is then 31/6, not 31/3.)

    Args:
        size: side of the heatmaps [cells].
        sigma: standard deviation of the Gaussians [cells].
        rounding: True for the released variant.
    """

    def __init__(self, size: int = HEATMAP_SIZE, sigma: float = 1.0, rounding: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.sigma = sigma
        self.rounding = rounding

    def call(self, cells):
        if self.rounding:
            cells = _rounded(cells)
        columns = self._profile(cells[..., 0])
        rows = self._profile(cells[..., 1])
        return ops.expand_dims(rows, 2) * ops.expand_dims(columns, 1)

    def _profile(self, centres):
        """Sample a Gaussian along one axis: centres (N, J) to values (N, size, J)."""
        steps = ops.cast(ops.arange(self.size), centres.dtype)
        distance = ops.expand_dims(steps, -1) - ops.expand_dims(centres, -2)
        values = ops.exp(-0.5 * ops.square(distance / self.sigma))
        if not self.rounding:
            return values
        inside = ops.abs(ops.stop_gradient(distance)) < STAMP_RADIUS + 0.5
        return values * ops.cast(inside, values.dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.size, self.size, input_shape[1])

    def get_config(self) -> dict:
        return {**super().get_config(), "size": self.size, "sigma": self.sigma, "rounding": self.rounding}


def _rounded(cells):
    """Round to whole cells, halves away from zero; the gradient is 1/2, as in the released layer."""
    whole = ops.sign(cells) * ops.floor(ops.abs(cells) + 0.5)
    return ops.stop_gradient(whole) + 0.5 * (cells - ops.stop_gradient(cells))


@keras.saving.register_keras_serializable(PACKAGE)
class BilinearUpsampling(Float32Layer):
    """Double maps (N, H, W, C) by the frozen per-channel 4x4 deconvolution of the released network: (N, 2H, 2W, C).

    Outside the map counts as zero, so the outermost cells fade, unlike in a resize.
    """

    def build(self, input_shape):
        profile = np.array([0.25, 0.75, 0.75, 0.25], "float32")
        stamp = np.repeat(np.outer(profile, profile)[..., None], input_shape[-1], axis=-1)
        self.kernel = self.add_weight(
            name="kernel", shape=stamp.shape, initializer=lambda shape, dtype: ops.convert_to_tensor(stamp, dtype), trainable=False
        )  # fmt: skip

    def call(self, maps):
        full = ops.expand_dims(self.kernel, -1) * ops.eye(self.kernel.shape[-1], dtype=self.kernel.dtype)
        return ops.conv_transpose(maps, full, strides=2, padding="same")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height and 2 * height, width and 2 * width, channels)
