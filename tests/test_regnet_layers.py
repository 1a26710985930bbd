"""RegNet's own layers: geometry, true gradients against finite differences, the released variant, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from handpose.heatmap import gaussian_heatmaps
from regnet.layers import BilinearUpsampling, ProjLayer, RenderingLayer

RANDOM = np.random.default_rng(5)
JOINTS = RANDOM.uniform(-1.4, 1.4, (2, 21, 3))


def gradient(function, x):
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        value = function(variable)
    return tape.gradient(value, variable).numpy()


def differences(function, x, step=1e-6):
    result = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        result[index] = (float(function(tf.constant(up))) - float(function(tf.constant(down)))) / (2 * step)
    return result


def test_projection_puts_m0_in_the_middle_and_the_range_at_the_borders():
    joints = np.array([[[0, 0, 0.3], [-1.5, 1.5, 0], [1.5, -1.5, -2.0]]], "float32")
    np.testing.assert_allclose(ProjLayer()(joints), [[[15.5, 15.5], [0, 31], [31, 0]]], atol=1e-5)


def test_rendering_is_the_gaussian_of_peak_one_at_a_sub_pixel_place():
    cells = RANDOM.uniform(-2, 33, (3, 21, 2)).astype("float32")
    heatmaps = np.moveaxis(np.array(RenderingLayer(sigma=1.0)(cells)), -1, 1)
    np.testing.assert_allclose(heatmaps, gaussian_heatmaps(cells, 32, 1.0), atol=1e-5)


@pytest.mark.parametrize("sigma", [1.0, 1.7])
def test_gradients_of_projection_and_rendering_are_the_true_ones(sigma):
    weights = RANDOM.normal(size=(2, 32, 32, 21))
    project, render = ProjLayer(dtype="float64"), RenderingLayer(sigma=sigma, dtype="float64")

    def loss(joints):
        return ops.sum(render(project(joints)) * weights)

    analytic = gradient(loss, JOINTS)
    np.testing.assert_allclose(analytic, differences(loss, JOINTS), rtol=1e-5, atol=1e-6)
    assert np.abs(analytic[..., :2]).min() > 1e-3
    assert not analytic[..., 2].any()


def test_released_variant_rounds_halves_away_from_zero_and_cuts_the_stamp():
    cells = np.array([[[15.5, 15.5], [2.49, 0.5], [-0.5, 33.0]]], "float32")
    heatmaps = np.array(RenderingLayer(rounding=True)(cells))[0]
    peaks = [np.unravel_index(heatmaps[..., j].argmax(), (32, 32)) for j in range(3)]
    assert peaks == [(16, 16), (1, 2), (31, 0)]  # rows, columns; the last stamp's centre lies outside at (33, -1)
    assert heatmaps[..., 0].max() == 1
    assert np.count_nonzero(heatmaps[..., 0]) == 49
    np.testing.assert_allclose(heatmaps[..., 2].max(), np.exp(-0.5 * (2**2 + 1**2)), rtol=1e-6)


def test_released_variant_has_the_authors_gradient():
    """Sum of dL/dH H dw 31/6 over the 7x7 stamp, written out as loops."""
    weights = RANDOM.normal(size=(2, 32, 32, 21))
    project, render = ProjLayer(dtype="float64"), RenderingLayer(rounding=True, dtype="float64")
    analytic = gradient(lambda joints: ops.sum(render(project(joints)) * weights), JOINTS)

    expected = np.zeros_like(JOINTS)
    for n, j in np.ndindex(2, 21):
        u, v = (int(np.floor((c + 1.5) / 3 * 31 + 0.5)) for c in JOINTS[n, j, :2])
        for dw in range(-3, 4):
            for dh in range(-3, 4):
                if 0 <= u + dw < 32 and 0 <= v + dh < 32:
                    pull = weights[n, v + dh, u + dw, j] * np.exp(-0.5 * (dw**2 + dh**2)) * 31 / 6
                    expected[n, j, :2] += pull * np.array([dw, dh])
    np.testing.assert_allclose(analytic, expected, rtol=1e-9, atol=1e-9)


def test_bilinear_upsampling_interpolates_inside_and_is_frozen():
    columns, rows = np.meshgrid(np.arange(16.0), np.arange(16.0))
    maps = np.stack([columns, 2 * rows, np.ones((16, 16))], -1)[None].astype("float32")
    layer = BilinearUpsampling()
    doubled = np.array(layer(maps))[0, 2:-2, 2:-2]
    steps = (np.arange(32) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(doubled[..., 0], np.tile(steps[2:-2], (28, 1)), atol=1e-5)
    np.testing.assert_allclose(doubled[..., 1], 2 * np.tile(steps[2:-2], (28, 1)).T, atol=1e-5)
    np.testing.assert_allclose(doubled[..., 2], 1, atol=1e-6)
    assert not layer.trainable_weights
    assert layer.count_params() == 4 * 4 * 3


def test_layers_keep_float32_under_mixed_precision():
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        cells = ProjLayer()(JOINTS.astype("float32"))
        assert RenderingLayer()(cells).dtype == tf.float32
        np.testing.assert_allclose(cells, (JOINTS[..., :2] + 1.5) / 3 * 31, atol=1e-4)
    finally:
        keras.mixed_precision.set_dtype_policy(policy)


def test_layers_survive_saving(tmp_path):
    joints = keras.Input((21, 3))
    rendered = RenderingLayer(size=24, sigma=0.8, rounding=True)(ProjLayer(size=24, extent=1.2)(joints))
    model = keras.Model(joints, BilinearUpsampling()(rendered))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = JOINTS.astype("float32")
    assert again.output_shape == (None, 48, 48, 21)
    np.testing.assert_array_equal(np.array(model(x)), np.array(again(x)))
