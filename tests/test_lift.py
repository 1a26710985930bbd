"""What final heatmaps add to 3D joints: where they see them, how far beside, and what the features look like there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

keras = pytest.importorskip("keras")

from handpose.heatmap import gaussian_heatmaps
from regnet.lift import AlignmentResidual, ExpectedPlaces, Moved, SpatialSoftmax, lifted

seeds = st.integers(0, 2**32)
ONES = np.ones((1, 21), np.float32)


def drawn(cells):
    """Heatmaps (N, 32, 32, 21) of joints (N, 21, 2) [cells]."""
    return np.moveaxis(gaussian_heatmaps(cells), 1, -1).astype(np.float32)


def beside(joints, places, peaks=ONES):
    return np.asarray(AlignmentResidual()(*(np.asarray(x, np.float32) for x in (joints, places, peaks))))


def test_places_are_those_of_the_heatmaps():
    cells = np.random.default_rng(0).uniform(2, 29, (3, 21, 2))
    shares = SpatialSoftmax()(drawn(cells))
    np.testing.assert_allclose(np.asarray(shares).sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose((np.asarray(ExpectedPlaces()(shares)) + 1) * 31 / 2, cells, atol=0.25)
    weak = ExpectedPlaces()(SpatialSoftmax()(0.3 * drawn(cells)))
    np.testing.assert_allclose((np.asarray(weak) + 1) * 31 / 2, cells, atol=0.3)
    empty = ExpectedPlaces()(SpatialSoftmax()(np.zeros((1, 32, 32, 21), np.float32)))
    np.testing.assert_allclose(np.asarray(empty), 0, atol=1e-5)


@given(seed=seeds, scale=st.floats(0.5, 2), shift=st.floats(-1, 1))
@settings(max_examples=25, deadline=None)
def test_joints_seen_where_they_are_said_to_be_are_not_beside(seed, scale, shift):
    joints = np.random.default_rng(seed).normal(0, 0.7, (1, 21, 3))
    assert (
        np.abs(beside(joints, scale * joints[..., :2] + shift)).max() < 0.05
    )  # a thousandth of the spread keeps it from dividing by 0


@given(seed=seeds, joint=st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_a_joint_seen_elsewhere_is_beside_by_as_much(seed, joint):
    rng = np.random.default_rng(seed)
    joints = rng.normal(0, 0.7, (1, 21, 3))
    places, peaks = 0.5 * joints[..., :2] + 0.1, ONES.copy()
    away = rng.uniform(0.1, 0.3, 2)
    places[0, joint] += 0.5 * away
    peaks[0, joint] = 0.0  # it has no say in how the others lie
    found = beside(joints, places, peaks)
    np.testing.assert_allclose(found[0, joint], away, atol=0.05)
    assert np.abs(np.delete(found[0], joint, axis=0)).max() < 0.05


def test_without_any_peak_and_with_all_places_in_one_nothing_is_infinite():
    assert np.isfinite(beside(np.zeros((1, 21, 3)), np.zeros((1, 21, 2)), 0 * ONES)).all()


def test_a_move_goes_aside_by_its_share_only():
    joints, aside = np.zeros((1, 21, 3), np.float32), np.ones((1, 21, 2), np.float32)
    change = np.zeros((1, 21, 4), np.float32)
    change[..., 2], change[..., 3] = 0.25, 50.0
    np.testing.assert_allclose(np.asarray(Moved()(joints, change, aside))[0, 0], (1, 1, 0.25))
    change[..., 3] = -50.0
    np.testing.assert_allclose(np.asarray(Moved()(joints, change, aside))[0, 0], (0, 0, 0.25), atol=1e-6)


def test_heatmaps_teach_nothing_through_the_lift_and_features_do():
    """Heatmaps answer to their own labels alone."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("asks TensorFlow for the gradient")
    import tensorflow as tf

    rng = np.random.default_rng(1)
    shapes = {"joints": (21, 3), "mid": (21, 3), "maps": (32, 32, 21), "peaks": (21,), "features": (32, 32, 8)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    model = keras.Model(inputs, lifted(*inputs.values()))
    model.get_layer("lift_change").kernel.assign(rng.normal(size=(256, 84)).astype(np.float32))
    values = {name: tf.constant(rng.normal(size=(1, *shape)).astype(np.float32)) for name, shape in shapes.items()}
    with tf.GradientTape() as tape:
        tape.watch(values)
        out = tf.reduce_sum(model(values) ** 2)
    gradients = tape.gradient(out, values)
    assert gradients["maps"] is None or not np.asarray(gradients["maps"]).any()
    assert np.asarray(gradients["features"]).any() and np.asarray(gradients["joints"]).any()


def lift_model():
    shapes = ((21, 3), (21, 3), (32, 32, 21), (21,), (32, 32, 8))
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs, lifted(*inputs))


def test_the_lift_survives_saving_and_says_its_shapes(tmp_path):
    rng = np.random.default_rng(0)
    model = lift_model()
    x = [rng.normal(size=(2, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]
    model.save(tmp_path / "lift.keras")
    again = keras.saving.load_model(tmp_path / "lift.keras")
    assert np.asarray(model(x)).shape == (2, 21, 3) and model.output_shape == (None, 21, 3)
    np.testing.assert_array_equal(np.asarray(model(x)), np.asarray(again(x)))


def test_places_stay_fine_under_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = lift_model()
    finally:
        keras.config.set_dtype_policy(policy)
    assert {keras.backend.standardize_dtype(layer.compute_dtype) for layer in model.layers if layer.weights} == {
        "float32"
    }
