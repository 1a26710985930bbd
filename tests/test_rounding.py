"""Weights in few bytes: what a file holds is what the network computes with, and rounding takes little from a kernel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handpose.training.rounding import as_bytes, rounded

SHAPE = (3, 3, 64, 64)  # large enough for bytes


def kernel(seed=0, spread=0.05):
    """A kernel whose outputs differ in size, as batch norm lets them."""
    rng = np.random.default_rng(seed)
    return (rng.normal(0, spread, SHAPE) * rng.uniform(0.1, 3, SHAPE[-1])).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100), exponent=st.floats(-4, 2))
def test_bytes_and_steps_are_the_kernel_and_so_is_half_precision(seed, exponent):
    found = rounded(kernel(seed, 10**exponent))
    values, steps = as_bytes(found)
    assert values.dtype == np.int8 and values.shape == SHAPE and steps.shape == SHAPE[-1:]
    np.testing.assert_array_equal(values * steps, found)
    np.testing.assert_array_equal(found.astype(np.float16).astype(np.float32), found)
    np.testing.assert_array_equal(rounded(found), found)


def test_little_is_lost_in_every_output():
    before = kernel()
    lost = np.sqrt(((rounded(before) - before) ** 2).mean((0, 1, 2)) / (before**2).mean((0, 1, 2)))
    assert lost.max() < 0.02


def test_one_value_far_off_does_not_take_the_others_their_bytes():
    before = kernel()
    step = as_bytes(rounded(before))[1][0]
    before[0, 0, 0, 0] = 1.05 * 127 * step
    found = rounded(before)
    assert as_bytes(found)[1][0] == step and found[0, 0, 0, 0] == 127 * step
    assert np.abs(found - before)[..., 0].ravel()[64:].max() <= step / 2, "the others go to the nearest byte"


def test_an_output_without_weights_stays_without():
    before = kernel()
    before[..., 5] = 0
    assert not rounded(before)[..., 5].any()


@pytest.mark.parametrize("shape", [(256, 256), (1, 1, 64, 64)])
def test_vectors_and_small_kernels_keep_half_precision(shape):
    weight = np.random.default_rng(0).normal(0, 0.05, shape).astype(np.float32)
    np.testing.assert_array_equal(rounded(weight), weight.astype(np.float16).astype(np.float32))


def test_norms_are_left_alone_and_a_raw_kernel_is_not_taken_for_bytes():
    scale = np.random.default_rng(0).normal(0, 1, 256).astype(np.float32)
    np.testing.assert_array_equal(rounded(scale), scale)
    assert as_bytes(kernel()) is None
