"""Scoring a file of predictions, of any method, on FreiHAND's evaluation set: joints, and F-scores where both sides have a mesh.

The file is that of the dataset's challenge (Zimmermann et al. 2019): `[joints, vertices]`, lists of N hands in the order of the pictures,
(21, 3) and (V, 3) [m] in the camera's frame; a method without a mesh leaves the second list empty.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handpose import metrics
from handpose.data import freihand
from handpose.data.files import read_json
from handpose.errors import HandposeError
from handpose.metrics import Score
from handpose.skeleton import N_JOINTS
from regnet.protocols import PROTOCOLS, SIMILAR, errors_3d, scores_3d

F_LIMITS_MM = (5.0, 15.0)


def score_predictions(folder: Path, file: Path) -> tuple[dict[str, Score], list[str]]:
    """Score predictions by the protocol of FreiHAND: the figures by key, and notes on those that there are none of.

    Raises HandposeError where the folder has no labelled evaluation set, or naming the file that is broken or does not fit it.
    """
    truth_mm = _true_joints(folder)
    content = read_json(file)
    if not (isinstance(content, list) and len(content) == 2):
        raise HandposeError(f"{file}: expected two lists, joints and vertices")
    joints_mm, vertices_mm = (1000.0 * freihand.read_arrays(part, file) for part in content)
    if joints_mm.shape != truth_mm.shape:
        raise HandposeError(f"{file}: joints are {joints_mm.shape}, expected {truth_mm.shape}")
    protocol = PROTOCOLS["freihand"]
    scores = scores_3d(protocol, errors_3d(protocol, joints_mm, truth_mm))
    true_mm = freihand.read_vertices(folder)
    if not vertices_mm.size:
        return scores, [f"no F-scores: {file} has joints and no mesh"]
    if true_mm is None:
        return scores, [f"no F-scores: {folder} has no evaluation_verts.json"]
    if vertices_mm.shape != true_mm.shape:
        raise HandposeError(f"{file}: vertices are {vertices_mm.shape}, expected {true_mm.shape}")
    return scores | _mesh_scores(vertices_mm, true_mm), []


def _true_joints(folder: Path) -> np.ndarray:
    """Read the joints (N, 21, 3) [mm] of the evaluation set."""
    if not freihand.recognises(folder):
        raise HandposeError(f"{folder}: no FreiHAND, and --predictions are scored on its evaluation set")
    frames = freihand.read(folder, "held_out")
    joints_mm = [frames[index].joints_mm for index in range(len(frames))]
    known = [joints for joints in joints_mm if joints is not None]
    if len(known) < len(joints_mm):
        raise HandposeError(f"{folder}: evaluation_xyz.json is missing, so there is nothing to score against")
    return np.array(known).reshape(-1, N_JOINTS, 3)


def _mesh_scores(predicted_mm: np.ndarray, true_mm: np.ndarray) -> dict[str, Score]:
    """Compare meshes (N, V, 3) [mm] after a similarity, as the dataset's authors do."""
    aligned = metrics.procrustes_aligned(predicted_mm, true_mm)
    what = f"{true_mm.shape[1]} vertices", len(true_mm)
    error = float(metrics.distances(aligned, true_mm).mean())
    scores = {"pa_vertices_mm": Score("PA mean vertex error", error, "mm", SIMILAR, *what)}
    for limit in F_LIMITS_MM:
        shares = [metrics.f_score(mesh, truth, limit) for mesh, truth in zip(aligned, true_mm, strict=True)]
        scores[f"f_{limit:g}_mm"] = Score(f"F@{limit:g} mm", float(np.mean(shares)), "", SIMILAR, *what)
    return scores
