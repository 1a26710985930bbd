"""The paper's network takes ResNet50's weights over so that its features are ResNet50's; without network access one line says so."""

import keras
import numpy as np
import pytest

from handpose.errors import HandposeError
from regnet.backbone import fill_backbone
from regnet.cli import main
from regnet.paper import build_paper

# From where to where in both networks: stages that share their blocks (ResNet50 has more in conv3 and conv4).
STAGES = {
    ("pool1_pool", "conv2_block3_out"): ("pool1", "res2c_relu"),
    ("conv2_block3_out", "conv3_block3_out"): ("res2c_relu", "res3c_relu"),
    ("conv3_block4_out", "conv4_block4_out"): ("res3c_relu", "res4d_relu"),
}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """ResNet50 with random weights and statistics, and the paper's network filled from its file."""
    keras.utils.set_random_seed(3)
    resnet = keras.applications.ResNet50(include_top=False, weights=None)
    rng = np.random.default_rng(3)
    for layer in resnet.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, values.shape) for values in layer.get_weights()])
        elif layer.weights:
            layer.set_weights([v + rng.normal(0, 0.05, v.shape) * (v.ndim == 1) for v in layer.get_weights()])
    path = tmp_path_factory.mktemp("weights") / "resnet50.weights.h5"
    resnet.save_weights(path)
    model = build_paper()
    fill_backbone(model, str(path))
    return resnet, model


def test_the_first_features_are_those_of_resnet(networks):
    resnet, model = networks
    image = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3)).astype(np.float32)
    theirs = keras.Model(resnet.input, resnet.get_layer("conv1_relu").output)(
        keras.applications.resnet50.preprocess_input(image.copy()), training=False
    )
    ours = keras.Model(model.input, model.get_layer("conv1_relu").output)(image, training=False)
    inner = (slice(None), slice(2, -2), slice(2, -2))  # windows that do not reach over the border
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(np.asarray(ours)[inner] / scale, np.asarray(theirs)[inner] / scale, atol=1e-5)


@pytest.mark.parametrize("stage", STAGES)
def test_blocks_answer_as_those_of_resnet(networks, stage):
    resnet, model = networks
    shape = model.get_layer(STAGES[stage][0]).output.shape[1:]
    features = np.random.default_rng(1).uniform(0, 1, (1, *shape)).astype(np.float32)
    theirs = np.asarray(run_layers(resnet, *stage, features))
    ours = np.asarray(run_layers(model, *STAGES[stage], features))
    np.testing.assert_allclose(ours / np.abs(theirs).max(), theirs / np.abs(theirs).max(), atol=1e-5)


def run_layers(network, first, last, features):
    return keras.Model(network.get_layer(first).output, network.get_layer(last).output)(features, training=False)


def test_what_cannot_be_had_is_told_in_one_line(tmp_path, monkeypatch):
    model = build_paper()
    with pytest.raises(HandposeError, match="missing.h5: no weights for the backbone"):
        fill_backbone(model, "missing.h5")
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(HandposeError, match=r"text.h5: not the weights of Keras' ResNet50"):
        fill_backbone(model, str(tmp_path / "text.h5"))

    def unreachable(**options):
        raise Exception("URL fetch failure on https://example.org: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr(keras.applications, "ResNet50", unreachable)
    with pytest.raises(HandposeError, match=r"^the ImageNet weights of ResNet50 cannot be fetched \(URL fetch .*FILE$"):
        fill_backbone(model, "imagenet")


def test_a_backbone_for_another_network_or_beside_other_weights_is_refused(tmp_path, capsys):
    weights, run = tmp_path / "old.weights.h5", tmp_path / "run"
    weights.touch()
    cases = {
        "--backbone is the paper's network's: give --network paper with it": [],
        "--backbone and --init both tell what to begin with: give one": ["--network", "paper", "--init", str(weights)],
    }
    for reason, options in cases.items():
        assert main(["train", "--i", "render", "--backbone", "imagenet", "--o", str(run), *options]) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"regnet: {reason}") and told.count("\n") == 1
    assert not run.exists()
