"""The form of a training item: an image and the targets of `regnet.losses`."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from handpose.heatmap import HEATMAP_SIZE
from handpose.skeleton import N_JOINTS

Item = dict[str, Any]  # arrays, and float32 numbers where a target has no axis
RIGHT_SHARE = 0.1  # of the items, mirrored: they teach the side, and the joints of hands whose side a tracker has wrong
RIGHT_SIDE_WEIGHT = 2.0  # of their side, so that it counts as if they were twice as many
RIGHT_WEIGHT = 0.06  # of those joints: all others pay for them, and a hand of a known side is taken for the other's


def training_item(
    image: np.ndarray, cells: np.ndarray, *, left: bool, valid: np.ndarray | None = None,
    joints_rel: np.ndarray | None = None, has_side: bool = True, silhouette: np.ndarray | None = None,
    squeezed: bool = False,
) -> Item:  # fmt: skip
    """Make the item of an image (S, S, 3) of a left hand with joints (21, 2) [cells].

    The 2D of a joint that is not `valid` is unknown, and the 3D of one that is NaN in joints_rel (21, 3), or of all without it: a hidden
    joint may lack one and have the other. With `left` False all of it is mirrored into a right hand, whose joints weigh less. A hand is
    present while most of its joints are inside. `silhouette` (S, S) uint8 tells where joints without a label may be. Of a `squeezed` picture
    2D is no truth for the shape in 3D.
    """
    inside = ((cells > -0.5) & (cells < HEATMAP_SIZE - 0.5)).all(-1)
    labelled = np.ones(N_JOINTS, bool) if valid is None else valid
    flat = joints_rel is None and bool(labelled.any()) and not squeezed
    mask: np.ndarray = np.zeros((HEATMAP_SIZE, HEATMAP_SIZE), np.float32)
    if silhouette is not None:
        mask = cv2.resize(silhouette, mask.shape, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    joints_rel = np.full((N_JOINTS, 3), np.nan) if joints_rel is None else joints_rel
    known_3d = np.isfinite(joints_rel).all(-1)
    if not left:
        image, mask = cv2.flip(image, 1), cv2.flip(mask, 1)
        cells = cells * (-1, 1) + (HEATMAP_SIZE - 1, 0)
        joints_rel = joints_rel * (-1, 1, 1)
    weight = np.float32(1 if left else RIGHT_WEIGHT)
    return {
        "image": image,
        "cells": cells.astype(np.float32),
        "labelled": weight * labelled,
        "inside": inside.astype(np.float32),
        "joints_rel": np.nan_to_num(joints_rel).astype(np.float32),  # no weight makes good a NaN
        "known_3d": weight * known_3d,
        "flat": weight * flat,
        "presence": np.array([inside.mean() > 0.5], np.float32),
        "left": np.array([left], np.float32),
        "has_left": np.array([has_side * (1 if left else RIGHT_SIDE_WEIGHT)], np.float32),
        "mask": mask,
        "masked": weight * mask.any(),
    }


def empty_item(image: np.ndarray) -> Item:
    """Make the item of an image without a hand: every map is empty."""
    zeros = np.zeros(N_JOINTS, np.float32)
    nothing = np.zeros(1, np.float32)
    return {
        "image": image, "cells": np.zeros((N_JOINTS, 2), np.float32), "labelled": zeros + 1, "inside": zeros,
        "joints_rel": np.zeros((N_JOINTS, 3), np.float32), "known_3d": zeros, "flat": np.float32(0),
        "presence": nothing, "left": nothing, "has_left": nothing,
        "mask": np.zeros((HEATMAP_SIZE, HEATMAP_SIZE), np.float32), "masked": np.float32(0),
    }  # fmt: skip
