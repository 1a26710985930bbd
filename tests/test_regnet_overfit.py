"""Eight samples are learnt by heart: losses, gradients and layers fit together, with no data to blame.

The mean error must fall under 2 mm (root-relative, at the default hand scale) and 1 px of the 128 px crop, as the network is run later.
"""

import cv2
import keras
import numpy as np
import pytest

from handpose.heatmap import cells_from_px, decode_heatmaps, px_from_cells
from handpose.kinematics import forward_kinematics
from handpose.skeleton import ANGLE_LIMITS_RAD, BONES, DEFAULT_SCALE_MM, M0, WRIST, Skeleton
from handpose.training.backend import make_train_step
from regnet.light import WIDTHS, build_light
from regnet.losses import regnet_losses
from regnet.networks import build

SAMPLES = 8


def drawn_hands():
    """Pictures (8, 128, 128, 3) of stick hands in random poses, and the training targets that fit them."""
    rng = np.random.default_rng(4)
    skeleton = Skeleton.default("left")
    images, cells, joints_rel = [], [], []
    for _ in range(SAMPLES):
        angles = rng.uniform(*ANGLE_LIMITS_RAD.T)
        pose = np.concatenate([[0, 0, 500], rng.normal(0, 0.5, 3), angles])
        joints_mm = forward_kinematics(skeleton, pose)
        centre = (joints_mm[:, :2].min(0) + joints_mm[:, :2].max(0)) / 2
        joints_px = 63.5 + (joints_mm[:, :2] - centre) * 85 / np.ptp(joints_mm[:, :2], axis=0).max()
        image = rng.integers(0, 80, (128, 128, 3), dtype=np.uint8)
        for a, b in BONES:
            ends = [tuple(int(8 * value) for value in joints_px[j]) for j in (a, b)]
            cv2.line(image, *ends, tuple(int(v) for v in rng.integers(120, 256, 3)), 3, cv2.LINE_AA, shift=3)
        images.append(image)
        cells.append(cells_from_px(joints_px, 128))
        joints_rel.append((joints_mm - joints_mm[M0]) / np.linalg.norm(joints_mm[M0] - joints_mm[WRIST]))
    one, all_joints = np.ones((SAMPLES, 1), "float32"), np.ones((SAMPLES, 21), "float32")
    targets = {
        "cells": np.array(cells, "float32"), "joints_rel": np.array(joints_rel, "float32"), "labelled": all_joints,
        "inside": all_joints, "known_3d": all_joints, "flat": 0 * one[:, 0], "presence": one, "left": one, "has_left": one,
    }  # fmt: skip
    return np.array(images, "float32"), targets


def settle_norms(model, images):
    """Let the norms' averages catch up with the weights, which a long training does by itself."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.1
    for _ in range(4):
        model(images, training=True)


def overfit(model, steps, rate):
    """Train on the same batch; return the mean errors (mm, px) of the network in inference mode."""
    images, targets = drawn_hands()
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps), clipnorm=5.0)
    step = make_train_step(model, regnet_losses, optimizer)
    for _ in range(steps):
        losses = step(images, targets)
    assert np.isfinite(losses["loss"])
    settle_norms(model, images)
    outputs = {name: np.array(value) for name, value in model(images, training=False).items()}
    joints_mm = outputs["joints_rel"] * DEFAULT_SCALE_MM
    error_mm = np.linalg.norm(joints_mm - targets["joints_rel"] * DEFAULT_SCALE_MM, axis=-1).mean()
    cells, _ = decode_heatmaps(np.moveaxis(outputs["heatmaps"], -1, 1)[:, :21])
    joints_px = px_from_cells(targets["cells"], 128)
    error_px = np.linalg.norm(px_from_cells(cells, 128) - joints_px, axis=-1).mean()
    return error_mm, error_px


def test_light_network_overfits_eight_samples():
    """Half as wide: the same layers, in a third of the time."""
    keras.utils.set_random_seed(0)
    error_mm, error_px = overfit(build_light(widths=tuple(width // 2 for width in WIDTHS)), steps=120, rate=4e-3)
    assert error_mm < 2
    assert error_px < 1


@pytest.mark.slow
def test_paper_network_overfits_eight_samples():
    keras.utils.set_random_seed(0)
    error_mm, error_px = overfit(build("paper"), steps=300, rate=8e-4)
    assert error_mm < 2
    assert error_px < 1
