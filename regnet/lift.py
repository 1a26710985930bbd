"""The last word on 3D joints, from the final heatmaps: where they see each joint, and what the features look like there.

Vectors read off small maps place joints farther off sideways than heatmaps do (median 9.4 and 5.6 mm of 500 rendered hands), and a
joint's depth shows in the features there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers, ops

from handpose.skeleton import N_JOINTS
from regnet.layers import PACKAGE, Float32Layer

_REACH = 1.0  # heatmaps move a joint no farther, in units of |W-M0|
_WEAKEST = 0.2  # a map with a lower peak says nothing
_TINY = 1e-3


@keras.saving.register_keras_serializable(PACKAGE)
class SpatialSoftmax(Float32Layer):
    """Turn heatmaps (N, H, W, J) into how likely each joint is in each cell, (N, J, H * W); no gradient passes.

    A softmax, sharpened by as much as a map is weak, or the empty cells would draw unsure joints to the middle.
    """

    def __init__(self, sharpness: float = 15.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sharpness = sharpness

    def call(self, heatmaps):
        height, width, joints = heatmaps.shape[1:]
        flat = ops.reshape(ops.stop_gradient(heatmaps), (-1, height * width, joints))
        sharp = self.sharpness / ops.maximum(ops.max(flat, axis=1, keepdims=True), _WEAKEST)
        return ops.transpose(ops.softmax(sharp * flat, axis=1), (0, 2, 1))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[3], input_shape[1] * input_shape[2])

    def get_config(self) -> dict:
        return {**super().get_config(), "sharpness": self.sharpness}


@keras.saving.register_keras_serializable(PACKAGE)
class ExpectedPlaces(Float32Layer):
    """Give the mean places (N, J, 2), -1..1, of shares (N, J, S * S) of square maps."""

    def call(self, shares):
        joints, cells = shares.shape[1:]
        side = round(cells**0.5)
        shares = ops.reshape(shares, (-1, joints, side, side))
        axis = ops.linspace(-1.0, 1.0, side)
        x, y = ops.sum(ops.sum(shares, axis=2) * axis, axis=-1), ops.sum(ops.sum(shares, axis=3) * axis, axis=-1)
        return ops.stack([x, y], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], 2)


@keras.saving.register_keras_serializable(PACKAGE)
class AlignmentResidual(Float32Layer):
    """Tell how far beside the joints (N, J, 3) heatmaps see them, (N, J, 2), in the unit of the joints.

    Places (N, J, 2) are scaled and shifted onto the joints' x and y as well as they can be, each counted by its peak (N, J); what
    is left over is the answer, perspective included. No gradient passes.
    """

    def call(self, joints, places, peaks):
        plane, places, peaks = (ops.stop_gradient(x) for x in (joints[..., :2], places, peaks))
        weight = ops.square(ops.clip(peaks, 0.0, 1.0))[..., None] + _TINY
        weight = weight / ops.sum(weight, axis=1, keepdims=True)
        places = places - ops.sum(places * weight, axis=1, keepdims=True)
        plane = plane - ops.sum(plane * weight, axis=1, keepdims=True)
        spread = ops.sum(weight * ops.square(places), axis=(1, 2), keepdims=True) + _TINY
        together = ops.maximum(ops.sum(weight * places * plane, axis=(1, 2), keepdims=True), 0.0)
        return ops.clip(places * (together / spread) - plane, -_REACH, _REACH)

    def compute_output_shape(self, joints_shape, places_shape, peaks_shape):
        return places_shape


def lifted(joints, joints_mid, heatmaps, peaks, features):
    """Correct joints (N, 21, 3) by heatmaps (N, H, W, 21) with their peaks (N, 21) and by features (N, H, W, C) where those see them."""
    shares = SpatialSoftmax(name="shares")(heatmaps)
    places = ExpectedPlaces(name="places")(shares)
    beside = AlignmentResidual(name="beside")(joints, places, peaks)
    cells = layers.Reshape((-1, features.shape[-1]), name="cells")(features)
    looks = layers.Dot(axes=(2, 1), dtype="float32", name="looks")([shares, cells])
    peaks = layers.Reshape((N_JOINTS, 1), dtype="float32", name="peak_column")(peaks)
    known = layers.Concatenate(name="lift", dtype="float32")([looks, joints, joints_mid, places, beside, peaks])
    # In bfloat16 a place would be a tenth of a cell off.
    dense = partial(layers.Dense, activation="relu", dtype="float32")
    x = layers.Flatten(name="lift_flat", dtype="float32")(dense(32, name="lift_each")(known))
    x = dense(256, name="lift_2")(dense(256, name="lift_1")(x))
    x = layers.Dense(4 * N_JOINTS, kernel_initializer="zeros", dtype="float32", name="lift_change")(x)
    x = layers.Reshape((N_JOINTS, 4), dtype="float32")(x)
    return Moved(name="lifted")(joints, x, beside)


@keras.saving.register_keras_serializable(PACKAGE)
class Moved(Float32Layer):
    """Move joints (N, J, 3) by the first three of `change` (N, J, 4), and sideways by the share sigmoid(fourth) of `beside` (N, J, 2)."""

    def call(self, joints, change, beside):
        aside = ops.sigmoid(change[..., 3:]) * beside
        return joints + change[..., :3] + ops.concatenate([aside, ops.zeros_like(aside[..., :1])], axis=-1)

    def compute_output_shape(self, joints_shape, change_shape, beside_shape):
        return joints_shape
