"""One-euro filters: they steady what rests, follow what moves, and do not care how frames are spaced."""

import numpy as np
import pytest

from handpose.rotation import exp_so3, log_so3
from tracker.filters import OneEuro, PoseFilter


def test_noise_of_a_resting_value_is_halved():
    rng = np.random.default_rng(0)
    one, noise = OneEuro(1.5, 0.01), rng.normal(0, 3, 400)
    filtered = [float(one(np.array(value), i / 30)) for i, value in enumerate(noise)]
    assert np.std(filtered[50:]) < 0.5 * np.std(noise)


def test_frame_spacing_does_not_matter_much():
    """Half the frames dropped at random: the same slow path, within a little."""
    rng = np.random.default_rng(1)
    times = np.arange(300) / 60
    path = 50 * np.sin(times)
    keep = np.sort(rng.choice(300, 150, replace=False))
    every, some = OneEuro(2.0, 0.02), OneEuro(2.0, 0.02)
    full = np.array([every(np.array(v), t) for v, t in zip(path, times, strict=True)])
    sparse = np.array([some(np.array(path[i]), times[i]) for i in keep])
    assert np.abs(full[keep] - sparse)[20:].max() < 2.0


def test_a_time_that_stands_still_changes_nothing():
    one = OneEuro(1.0, 0.0)
    one(np.array(1.0), 0.0)
    assert float(one(np.array(9.0), 0.0)) == 1.0


def test_rotations_pass_through_half_turns():
    """A steady spin, whose rotation vector jumps at pi, is followed with a small, steady lag."""
    pose, errors = PoseFilter(), []
    axis = np.array([0.3, 0.9, -0.3]) / np.linalg.norm([0.3, 0.9, -0.3])
    for frame in range(200):
        rotation = log_so3(exp_so3(axis * 2.0 * frame / 30))
        vector = np.concatenate([np.zeros(3), rotation, np.zeros(20)])
        out = pose(vector, frame / 30)
        errors.append(np.linalg.norm(log_so3(exp_so3(out[3:6]) @ exp_so3(rotation).T)))
    assert max(errors) < 0.25 and np.ptp(errors[100:]) < 0.02


@pytest.mark.parametrize("index", [0, 2, 3, 10])
def test_reset_forgets(index):
    pose = PoseFilter()
    first, second = np.zeros(26), np.zeros(26)
    second[index] = 0.5
    pose(first, 0.0)
    assert abs(pose(second, 0.03)[index]) < 0.5
    pose.reset()
    np.testing.assert_allclose(pose(second, 0.06), second)
