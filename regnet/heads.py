"""Heads that the light and the paper's network share and that the paper does not have: confidence, presence and side."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from handpose.skeleton import N_JOINTS
from regnet.layers import PACKAGE, Float32Layer

SCORE_UNITS = {"confidence": N_JOINTS, "presence": 1, "left": 1}


@keras.saving.register_keras_serializable(PACKAGE)
class HeatmapPeaks(Float32Layer):
    """Give the maxima (N, joints) of the first `joints` heatmaps (N, H, W, C); no gradient passes."""

    def __init__(self, joints: int = N_JOINTS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.joints = joints

    def call(self, heatmaps):
        return ops.stop_gradient(ops.max(heatmaps[..., : self.joints], axis=(1, 2)))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.joints)

    def get_config(self) -> dict:
        return {**super().get_config(), "joints": self.joints}


def score_heads(features, peaks) -> dict[str, Any]:
    """Judge a hand by features (N, h, w, C) and the peaks (N, 21) of its heatmaps.

    Gives the logits confidence (N, 21), presence (N, 1) and left (N, 1). They learn to judge the heatmaps, not to change them.
    """
    pooled = layers.GlobalAveragePooling2D(name="pooled")(features)
    x = layers.Dense(96, activation="relu", name="scores_hidden")(layers.Concatenate(name="scores")([pooled, peaks]))
    return {name: layers.Dense(units, dtype="float32", name=name)(x) for name, units in SCORE_UNITS.items()}
