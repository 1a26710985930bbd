"""Rendering only the square that holds the hand shows the same hand at the same place."""

import numpy as np
import pytest

from handpose.camera import Camera
from handpose.synthesis import viewpoints
from handpose.synthesis.poses import PoseSampler
from handpose.synthesis.render_hand import Look, render_hand, sample_shape
from handpose.synthesis.tight import render_tight

CAMERA = Camera(160, 160, 63.5, 63.5, (128, 128))


@pytest.mark.parametrize("seed", range(4))
def test_silhouette_depth_and_joints_are_those_of_the_whole_picture(seed):
    rng = np.random.default_rng(seed)
    mesh, skeleton = sample_shape(rng)
    at = np.array([rng.normal(0, 80), rng.normal(0, 80), 400.0])  # now and then over the edge
    pose = viewpoints.place(
        skeleton, PoseSampler().sample(rng, skeleton).angles_rad, viewpoints.sample_view(rng)[0], at
    )
    look = Look.sample(rng)
    whole, tight = (f(mesh, skeleton, pose, CAMERA, look) for f in (render_hand, render_tight))
    np.testing.assert_array_equal(tight.alpha, whole.alpha)
    np.testing.assert_allclose(tight.depth_mm, whole.depth_mm, atol=1e-3)
    np.testing.assert_allclose(tight.joints_px, whole.joints_px, atol=1e-9)
    covered = whole.alpha > 200
    assert covered.sum() > 100
    assert np.abs(tight.rgb[covered].astype(int) - whole.rgb[covered]).mean() < 12  # the room's shade has another grain


def test_a_hand_outside_the_picture_leaves_it_empty():
    rng = np.random.default_rng(0)
    mesh, skeleton = sample_shape(rng)
    pose = viewpoints.place(skeleton, np.zeros(20), viewpoints.look_from((0, 0, 1)), np.array([5000.0, -4000, 600]))
    seen = render_tight(mesh, skeleton, pose, Camera(160, 160, 100, 50, (200, 100)), Look.sample(rng))
    assert seen.rgb.shape == (100, 200, 3) and seen.alpha.max() == 0 and seen.depth_mm.max() == 0
