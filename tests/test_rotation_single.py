"""One rotation, computed in plain floats, equals the same one in a batch."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handpose.rotation import exp_so3, log_so3, plane_rotation

components = st.floats(-4, 4, allow_subnormal=False)


@settings(max_examples=200, deadline=None)
@given(st.tuples(components, components, components))
@example((0.0, 0.0, 0.0))
@example((1e-9, 0.0, -1e-9))
@example((9e-5, 0.0, 0.0))
@example((np.pi, 0.0, 0.0))
@example((0.0, -np.pi + 1e-9, 0.0))
@example((np.pi / np.sqrt(3), np.pi / np.sqrt(3), np.pi / np.sqrt(3)))
def test_one_equals_a_batch_of_one(vector):
    vector = np.array(vector)
    matrix = exp_so3(vector)
    np.testing.assert_allclose(matrix, exp_so3(vector[None])[0], atol=1e-14)
    np.testing.assert_allclose(log_so3(matrix), log_so3(matrix[None])[0], atol=1e-12)
    np.testing.assert_allclose(exp_so3(log_so3(matrix)), matrix, atol=1e-12)


def test_rotations_of_the_plane_are_made_one_or_many_at_a_time():
    angles = np.random.default_rng(0).uniform(-4, 4, (3, 5))
    many = plane_rotation(angles)
    assert many.shape == (3, 5, 2, 2)
    for place in np.ndindex(angles.shape):
        np.testing.assert_array_equal(many[place], plane_rotation(angles[place]))
    np.testing.assert_allclose(
        plane_rotation(np.pi / 2) @ (1, 0), (0, 1), atol=1e-12, err_msg="clockwise, as y points down"
    )
