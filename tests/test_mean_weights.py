"""The mean of two runs' weights: every array is the mean of both, networks that differ are refused."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
from mean_weights import average


def network(seed, units=3, further=0):
    keras.utils.set_random_seed(seed)
    x = image = keras.Input((4, 4, 2))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(units, 3, name="convolution")(x))
    for _ in range(further):
        x = keras.layers.Dense(2)(x)
    model = keras.Model(image, x)
    model.set_weights([np.random.default_rng(seed).normal(size=value.shape) for value in model.get_weights()])
    return model


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_every_array_is_the_mean_of_both(tmp_path, share):
    networks = [network(1), network(2)]
    paths = [tmp_path / "a.weights.h5", tmp_path / "b.weights.h5"]
    for model, path in zip(networks, paths, strict=True):
        model.save_weights(path)
    average(*paths, tmp_path / "mean.weights.h5", share)
    mean = network(3)
    mean.load_weights(tmp_path / "mean.weights.h5")
    for value, one, other in zip(*(model.get_weights() for model in (mean, *networks)), strict=True):
        np.testing.assert_allclose(value, (1 - share) * one + share * other, atol=1e-6)


@pytest.mark.parametrize("other", [{"units": 4}, {"units": 1}, {"further": 1}])
@pytest.mark.parametrize("turn", [1, -1])
def test_networks_that_differ_have_no_mean(tmp_path, other, turn):
    """Also where the second lacks a layer of the first, and where arrays of other shapes would be stretched to fit."""
    paths = [tmp_path / "a.weights.h5", tmp_path / "b.weights.h5"]
    for model, path in zip([network(1), network(2, **other)], paths, strict=True):
        model.save_weights(path)
    with pytest.raises(ValueError, match="differ"):
        average(*paths[::turn], tmp_path / "mean.weights.h5")
    assert not (tmp_path / "mean.weights.h5").exists(), "nothing half done is left"
