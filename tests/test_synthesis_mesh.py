"""Bent joints of the rendered hand keep their flesh."""

import numpy as np
import pytest

from handpose.kinematics import forward_kinematics
from handpose.skeleton import ANGLE_LIMITS_RAD, BASES
from handpose.synthesis.render_hand import shape


def kept_thickness(number: int, finger: int, share: float) -> list[float]:
    """What is left, of 1 at rest, of the flesh behind a finger's two outer joints when all bend by `share` of their limits."""
    mesh, skeleton = shape(number)
    vector = np.zeros(26)
    bends = slice(4 * finger + 1, 4 * finger + 4)
    vector[6:][bends] = share * ANGLE_LIMITS_RAD[bends, 1]
    posed, _ = mesh.posed(skeleton, vector, np.eye(3))
    joints, kept = forward_kinematics(skeleton, vector), []
    for place in (2, 3):
        behind = (mesh.finger == finger) & (np.abs(mesh.along - place) < 0.12) & (mesh.back > 0.5)
        joint = BASES[finger] + place - 1
        assert behind.sum() >= 3
        bent = np.linalg.norm(posed[behind] - joints[joint], axis=1)
        rest = np.linalg.norm(mesh.vertices_mm[behind] - skeleton.rest_joints_mm[joint], axis=1)
        kept.append(float((bent / rest).mean()))
    return kept


@pytest.mark.parametrize("share, least", [(0.5, 0.87), (0.75, 0.76), (1.0, 0.63)])
def test_knuckles_do_not_collapse(share, least):
    """Blended matrices thin the back of a joint: measured over six shapes, at worst 0.90, 0.79 and 0.67 of it stay."""
    kept = [value for number in (0, 3) for finger in range(5) for value in kept_thickness(number, finger, share)]
    assert min(kept) > least
    assert max(kept) < 1.15, "nor do they swell"
