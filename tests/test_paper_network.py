"""The paper's network: its size, its outputs, what its training branch adds."""

import numpy as np
import pytest

from regnet.networks import build
from regnet.summary import HEADS, folded_parameters, multiplications


@pytest.fixture(scope="module")
def full():
    return build("paper", 128)


def test_parameters_with_batch_norm_folded_are_the_released_networks(full):
    assert folded_parameters(full) == 19_807_422
    assert folded_parameters(build("paper", 128, training_branch=False)) == 19_637_086


def test_folding_counts_one_bias_per_channel_and_the_added_heads_apart(full):
    assert folded_parameters(full, without=()) > folded_parameters(full)
    head_parameters = sum(full.get_layer(name).count_params() for name in HEADS)
    assert folded_parameters(full, without=()) - folded_parameters(full) == head_parameters
    conv1 = full.get_layer("conv1").count_params() + full.get_layer("conv1_norm").moving_mean.shape[0]
    assert conv1 == 9_472  # 7 x 7 x 3 x 64 and 64 biases


def test_ten_residual_blocks_on_the_published_grid(full):
    assert sum(layer.name.startswith("res") and layer.name.endswith("_add") for layer in full.layers) == 10
    grids = {name: full.get_layer(name).output.shape[1:] for name in ("pool1", "res2c_add", "res3c_add", "res4d_add")}
    assert grids == {
        "pool1": (32, 32, 64), "res2c_add": (32, 32, 256), "res3c_add": (16, 16, 512), "res4d_add": (8, 8, 1024)
    }  # fmt: skip
    assert full.get_layer("with_rendered").output.shape[1:] == (8, 8, 384)
    assert 1.27e9 < multiplications(full) < 1.285e9


@pytest.mark.parametrize("size", [128, 256])
def test_both_picture_sizes_have_the_same_weights_and_outputs(size):
    network = build("paper", size)
    shapes = {name: output.shape[1:] for name, output in network.output.items()}
    assert shapes == {
        "heatmaps_mid": (32, 32, 22), "joints_mid": (21, 3), "heatmaps": (32, 32, 22), "joints_rel": (21, 3),
        "confidence": (21,), "presence": (1,), "left": (1,),
    }  # fmt: skip
    assert folded_parameters(network) == 19_807_422


def test_refined_outputs_listen_to_the_intermediate_joints(full):
    """The projection is in the graph: moving the intermediate joints moves the final ones."""
    picture = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3)).astype("float32")
    before = np.array(full(picture)["joints_rel"])
    bias = full.get_layer("joints_mid_vector").bias
    bias.assign_add(np.full(63, 0.4, "float32"))
    moved = np.abs(np.array(full(picture)["joints_rel"]) - before).max()
    bias.assign_add(np.full(63, -0.4, "float32"))
    assert moved > 1e-6


def test_frozen_bilinear_kernels_do_not_train(full):
    frozen = [weight.path for weight in full.non_trainable_weights if "norm" not in weight.path]
    assert sorted(frozen) == ["heatmaps/kernel", "heatmaps_mid/kernel"]


def test_other_sizes_and_networks_are_refused():
    with pytest.raises(ValueError, match="128 or 256, not 64"):
        build("paper", 64)
    with pytest.raises(ValueError, match="light or paper"):
        build("heavy", 128)
