"""Export to ONNX: the contract, agreement with Keras, refusals."""

import hashlib
import json

import keras
import numpy as np
import pytest

from handpose.errors import HandposeError
from regnet import export as exporting
from regnet.keras_predictor import KerasNetwork
from regnet.networks import build, load
from regnet.predictor import Predictor

CONTRACT = {
    "features": (432,),
    "heatmaps": (21, 32, 32),
    "joints_rel": (21, 3),
    "confidence": (21,),
    "presence": (1,),
    "left": (1,),
}


def trained(folder, network="light", input_size=128, **options):
    """A run folder whose network has lived: random statistics in the norms, and heads of a usual size."""
    keras.utils.set_random_seed(1)
    model = build(network, input_size, **options)
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.7, 1.3, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.2, layer.beta.shape))
            layer.moving_mean.assign(rng.normal(0, 0.2, layer.beta.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.beta.shape))
    folder.mkdir()
    model.save_weights(folder / "best.weights.h5")
    (folder / "config.json").write_text(
        json.dumps({"network": network, "input_size": input_size, **options, "sources": ["/home/x/photos", "render"]})
    )
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="module")
def exported(run):
    path = run / "light.onnx"
    exporting.export(run, path)
    return path


def test_exported_file_keeps_the_contract(exported):
    import onnx

    graph = onnx.load(exported).graph
    (image,) = graph.input
    assert image.name == "image" and image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_value for d in image.type.tensor_type.shape.dim][1:] == [128, 128, 3]
    assert {output.name for output in graph.output} == set(CONTRACT)
    for batch in (1, 3):
        pictures = np.random.default_rng(batch).integers(0, 256, (batch, 128, 128, 3), dtype=np.uint8)
        outputs = exporting.run_onnx(exported, pictures)
        assert {name: value.shape for name, value in outputs.items()} == {k: (batch, *v) for k, v in CONTRACT.items()}
        for name in ("confidence", "presence", "left"):
            assert outputs[name].min() >= 0 and outputs[name].max() <= 1


def test_the_shipped_export_agrees_with_keras_on_photographs(shared_data):
    from regnet.labelled import labelled_windows
    from regnet.predictor import DEFAULT_WEIGHTS

    windows, _ = labelled_windows(shared_data / "real" / "hands_dguzk", 128, 16)
    pictures = np.stack([window.image for window in windows])
    found = exporting.differences(
        exporting.run_onnx(DEFAULT_WEIGHTS, pictures),
        KerasNetwork(DEFAULT_WEIGHTS.with_suffix(".weights.h5"))(pictures),
    )
    assert set(found) == set(CONTRACT)
    assert max(found.values()) < exporting.TOLERANCE


def test_openvino_agrees_too(run, exported):
    openvino = pytest.importorskip("openvino")
    pictures = exporting.test_pattern(128)
    compiled = openvino.Core().compile_model(str(exported), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = {key.any_name: value for key, value in compiled(pictures).items()}
    assert (
        max(exporting.differences(outputs, KerasNetwork(exported.with_suffix(".weights.h5"))(pictures)).values())
        < exporting.TOLERANCE
    )


def test_heatmaps_are_the_kept_ones_in_their_order(run, exported):
    model, _ = load(exported.with_suffix(".weights.h5"))
    pictures = exporting.test_pattern(128)
    reference = np.array(model(pictures.astype("float32"))["heatmaps"])
    np.testing.assert_allclose(
        exporting.run_onnx(exported, pictures)["heatmaps"], np.moveaxis(reference, -1, 1)[:, :21], atol=1e-3
    )


def test_export_writes_a_card_with_checksums_and_loadable_weights(run, exported):
    card = json.loads(exported.with_suffix(".json").read_text())
    assert (card["network"], card["input_size"]) == ("light", 128)
    assert card["sources"] == ["photos", "render"]  # nobody's folders travel with the weights
    for name, digest in card["sha256"].items():
        assert hashlib.sha256((run / name).read_bytes()).hexdigest() == digest
    again, _ = load(run / "light.weights.h5")
    first, _ = load(run)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        stored = a.astype(np.float16) if a.size >= 1024 else a  # large ones at half precision
        np.testing.assert_array_equal(b, stored.astype(np.float32))


def test_keras_runtime_predicts_what_onnx_does(run, exported):
    class Onnx:
        input_size = 128

        def __call__(self, images):
            return exporting.run_onnx(exported, images)

    windows = exporting.test_pattern(128)
    sides = ["left", "right", "right", "left"]
    one = Predictor(Onnx()).windows(windows, sides)
    other = Predictor.from_file(exported.with_suffix(".weights.h5"), runtime="keras").windows(windows, sides)
    for name in ("joints_rel", "confidence", "presence", "left"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-3)


def test_keras_runtime_finds_the_keras_weights_beside_the_exported_ones(run, exported, capsys):
    windows = exporting.test_pattern(128)
    beside = Predictor.from_file(exported, runtime="keras", device="gpu")
    first = Predictor.from_file(exported.with_suffix(".weights.h5"), runtime="keras")
    np.testing.assert_allclose(beside.network(windows)["joints_rel"], first.network(windows)["joints_rel"], atol=1e-5)
    if not keras.distribution.list_devices("gpu"):
        assert capsys.readouterr().err.count("no GPU that Keras") == 1


def test_an_export_that_differs_is_refused_and_leaves_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "write_onnx", lambda function, size, path, metadata: path.write_bytes(b"draft"))
    monkeypatch.setattr(
        exporting, "run_onnx", lambda path, images: {k: np.full((4, *v), 9.0) for k, v in CONTRACT.items()}
    )
    with pytest.raises(HandposeError, match="differs from Keras"):
        exporting.export(run, tmp_path / "bad.onnx")
    assert not list(tmp_path.iterdir())


def test_missing_torn_and_foreign_weights_are_told_in_one_line(run, tmp_path):
    def message(path):
        with pytest.raises(HandposeError) as caught:
            load(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such weights file" in message(tmp_path / "nothing.weights.h5")
    assert "train first" in message(tmp_path)
    (tmp_path / "best.weights.h5").write_bytes(b"not hdf5")
    assert "config.json" in message(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"network": "light", "input_size": 128}))
    assert "not weights of the regnet_light_128" in message(tmp_path)
    (tmp_path / "best.weights.h5").write_bytes((run / "best.weights.h5").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"network": "paper", "input_size": 128}))
    assert "not weights of the regnet_paper_128" in message(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"network": "huge", "input_size": 128}))
    assert "no known network" in message(tmp_path)


@pytest.mark.parametrize(("name", "reason"), [("x.pb", "must end in .onnx"), ("none/x.onnx", "no such folder")])
def test_bad_output_names_are_refused_before_the_work(run, tmp_path, name, reason):
    with pytest.raises(HandposeError, match=reason):
        exporting.export(run, tmp_path / name)
